import pytest
import torch

from userdata.job.run_error import RunError
from userdata.worker.model.device import choose_device


def test_a_gpu_that_the_driver_lists_and_cuda_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RuntimeError("Error 802: system not yet initialized\nmore for developers")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "init", refuse)
    with pytest.raises(RunError, match="Error 802: system not yet initialized. Use a current Deep Learning AMI"):
        choose_device(None)
