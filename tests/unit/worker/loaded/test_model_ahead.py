from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.worker.loaded.model_ahead import ModelAhead
from userdata.worker.process.settings import Settings

JOB = Job()
WEIGHT = torch.tensor([0.1, 0.2], dtype=torch.half)
TENSORS = {"weight": WEIGHT, "positions": torch.arange(3), "model_ema.weight": WEIGHT + 1}


def ahead_of(settings: Settings, folder: Path) -> ModelAhead:
    return ModelAhead(dataclasses.replace(settings, model_folder=folder), JOB, image_requests(JOB))


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt"])
def test_a_checkpoint_is_read_and_rounded_and_handed_out_once(settings: Settings, tmp_path: Path, name: str) -> None:
    if name.endswith(".ckpt"):
        torch.save({"state_dict": TENSORS}, tmp_path / name)
    else:
        save_file(TENSORS, tmp_path / name)
    ahead = ahead_of(settings, tmp_path)
    tensors = ahead.tensors()
    assert tensors is not None
    assert set(tensors) == {"weight", "positions"}
    assert torch.equal(tensors["weight"], WEIGHT.float())
    assert torch.equal(tensors["positions"], torch.arange(3))
    assert ahead.tensors() is None


def test_a_model_in_diffusers_own_layout_is_left_to_diffusers(settings: Settings, tiny_model: Path) -> None:
    assert ahead_of(settings, tiny_model).tensors() is None


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x00" * 4096])
def test_what_goes_wrong_is_left_to_who_loads_the_model(settings: Settings, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    assert ahead_of(settings, tmp_path).tensors() is None


def test_a_machine_without_a_gpu_is_left_to_who_chooses_the_device(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(TENSORS, tmp_path / "model.safetensors")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert ahead_of(dataclasses.replace(settings, device=None), tmp_path).tensors() is None


@pytest.mark.parametrize(
    ("in_one_file", "ways", "done"),
    [
        (True, ["fused", "cuda_graph"], ["libraries", "kernels"]),
        (True, ["cuda_graph", "fused"], ["libraries"]),
        (False, ["fused", "cuda_graph"], ["libraries", "kernels"]),
    ],
)
def test_a_gpu_is_made_ready_for_what_it_will_draw(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_one_file: bool,
    ways: list[str],
    done: list[str],
) -> None:
    called: list[str] = []
    asked: list[tuple[int, int]] = []

    def ways_by_time(_device: torch.device, _work: object, *, steps: int, images: int, **_: Any) -> list[str]:
        asked.append((steps, images))
        return ways

    if not in_one_file:
        (tmp_path / "model_index.json").write_text("{}")
    for name, fake in {
        "model.device.choose_device": lambda _: torch.device("cuda"),
        "loaded.warm_gpu.load_libraries": lambda _: called.append("libraries"),
        "kernels.drawing_time.ways_by_time": ways_by_time,
        "kernels.kernel_check.fused_kernels_work": lambda _, **__: called.append("kernels"),
    }.items():
        monkeypatch.setattr(f"userdata.worker.{name}", fake)
    assert ahead_of(settings, tmp_path).tensors() is None
    assert called == done
    assert asked == [(JOB.ddim_steps, JOB.images_total)]
