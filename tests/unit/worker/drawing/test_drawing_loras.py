"""Images of one run that want different LoRAs are those of runs of their own, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.worker.kernels.test_fused_blocks import kernels_in_torch, stand_in  # noqa: F401  # for Execution fused
from tests.unit.worker.model.lora_files import linear_layers, save_lora
from userdata.job.image_request import ImageRequest, image_requests
from userdata.job.job import Job
from userdata.job.prompt_file import read_prompt_file
from userdata.job.run_error import RunError
from userdata.worker.between.task import DrawnImage
from userdata.worker.drawing import drawing, prepared
from userdata.worker.drawing.drawing import Drawing
from userdata.worker.drawing.drawing_hooks import DrawingHooks
from userdata.worker.model.lora import Loras, want_different_loras
from userdata.worker.model.pipeline import load_pipeline

PROMPTS = b"""
a horse <lora:first:1> <lora:second:0>
a horse <lora:first:0> <lora:second:0>
a horse <lora:first:0> <lora:second:0.5>
a tree <lora:first:1> <lora:second:0>
a horse
"""
JOB = Job(
    H=128,
    W=128,
    ddim_steps=2,
    model="tiny",
    n_iter=1,
    n_samples=1,
    lora="inputs/first.safetensors:0.7,inputs/second.safetensors:-1",
)


def load(model: Path) -> Any:
    return load_pipeline(model, layout=None, device=torch.device("cpu"), from_image=False)


@pytest.fixture
def files(tiny_model: Path, tmp_path: Path) -> dict[str, Path]:
    """Two LoRAs that change some of the same weights, one of them the convolutions whose weights are fused."""
    pipeline = load(tiny_model)
    files = {name: tmp_path / f"{name}.safetensors" for name in ("first", "second")}
    convolutions = [("unet", f"up_blocks.{n}.upsamplers.0.conv") for n in range(len(pipeline.unet.up_blocks) - 1)]
    pointwise = linear_layers(pipeline)
    save_lora(pipeline, files["first"], layers=[*pointwise, *convolutions], seed=1)
    save_lora(pipeline, files["second"], layers=pointwise, seed=2)
    return files


def draw(model: Path, requests: Sequence[ImageRequest], files: dict[str, Path]) -> tuple[list[DrawnImage], Any]:
    images: list[DrawnImage] = []
    pipeline = load(model)
    loras = Loras(pipeline, files, restorable=want_different_loras(requests))
    Drawing(
        pipeline, JOB, requests, total=len(requests), initial_image=None, hooks=DrawingHooks(images.append), loras=loras
    ).do()
    return sorted(images, key=lambda image: image.index), (pipeline, loras)


@pytest.mark.parametrize("execution", ["eager", "fused"])
def test_each_image_is_as_in_a_run_of_its_own(
    tiny_model: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, execution: str
) -> None:
    monkeypatch.setattr(prepared, "choose_execution", lambda *_, **__: execution)
    monkeypatch.setattr(drawing, "remember_compiled", lambda *_, **__: None)
    requests = image_requests(JOB, read_prompt_file(PROMPTS, JOB))
    together, (pipeline, loras) = draw(tiny_model, requests, files)
    assert {image.drawn_with.execution for image in together} == {execution}
    alone = [image for request in requests for image in draw(tiny_model, [request], files)[0]]
    pictures = {image.index: image.image.tobytes() for image in alone}
    assert len(set(pictures.values())) == len(requests)
    assert {image.index: image.image.tobytes() for image in together} == pictures

    loras.apply({})
    own = load(tiny_model)
    for part in ("unet", "text_encoder"):
        for name, tensor in getattr(own, part).state_dict().items():
            assert torch.equal(getattr(pipeline, part).state_dict()[name], tensor), f"{part}.{name}"


def test_loras_are_independent_of_their_order(tiny_model: Path, files: dict[str, Path]) -> None:
    weights = []
    for names in (("first", "second"), ("second", "first")):
        pipeline = load(tiny_model)
        Loras(pipeline, files, restorable=False).apply(dict.fromkeys(names, 0.5))
        weights.append(pipeline.unet.state_dict())
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor)


def test_a_second_set_needs_what_was_kept(tiny_model: Path, files: dict[str, Path]) -> None:
    loras = Loras(load(tiny_model), files, restorable=False)
    loras.apply({"first": 1})
    loras.apply({"first": 1, "second": 0})
    with pytest.raises(ValueError, match="once only"):
        loras.apply({"second": 1})


def test_too_little_memory_to_keep_the_weights_is_told_before_drawing(
    tiny_model: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "userdata.worker.model.lora.psutil.virtual_memory", lambda: type("Memory", (), {"available": 1000})
    )
    Loras(load(tiny_model), files, restorable=False)
    with pytest.raises(RunError, match=r"want different LoRAs, for which .* GiB of weights must be kept as they were"):
        Loras(load(tiny_model), files, restorable=True)
