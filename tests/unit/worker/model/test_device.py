import pytest
import torch

from userdata.job.run_error import RunError
from userdata.worker.model.device import choose_device, choose_dtype


def test_a_gpu_that_the_driver_lists_and_cuda_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RuntimeError("Error 802: system not yet initialized\nmore for developers")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "init", refuse)
    with pytest.raises(RunError, match="Error 802: system not yet initialized. Use a current Deep Learning AMI"):
        choose_device(None)


@pytest.mark.parametrize("pipeline", ["Flux2KleinPipeline", "ZImagePipeline", "ChromaPipeline"])
def test_a_card_without_bfloat16_is_told_and_never_draws_black_images(
    monkeypatch: pytest.MonkeyPatch, pipeline: str
) -> None:
    capability = [(7, 5)]
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability[0])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Tesla T4")
    device = torch.device("cuda")
    with pytest.raises(RunError, match="bfloat16, which the GPU Tesla T4 does not have.* InstanceType g6.xlarge"):
        choose_dtype(device, "autocast", pipeline=pipeline)
    assert choose_dtype(device, "full", pipeline=pipeline) == torch.float32
    assert choose_dtype(device, "autocast", pipeline="StableDiffusionXLPipeline") == torch.float16
    capability[0] = (8, 6)
    assert choose_dtype(device, "autocast", pipeline=pipeline) == torch.bfloat16
