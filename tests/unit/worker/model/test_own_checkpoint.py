"""What is known of somebody's own checkpoint once its file is there: the memory that it needs, and its own size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.unit.worker.model.test_other_layouts import component, xl_checkpoint
from userdata.bill.units import GIB
from userdata.contract.catalogue import Model, find_model, read_catalogue
from userdata.job.job import Job
from userdata.job.run_error import RunError
from userdata.worker.model import memory_check, size_warning
from userdata.worker.model.memory_check import check_memory
from userdata.worker.model.pipeline import LAYOUTS
from userdata.worker.model.size_warning import warn_of_small_size
from userdata.worker.model.tensor_names import INPUT

OWN = "s3://my-bucket/own.safetensors"
SMALL_XL = {
    INPUT: (8, 4, 3, 3),
    "conditioner.embedders.0.transformer.x": (1,),
    "conditioner.embedders.1.model.x": (1,),
}
SMALL_V1 = {INPUT: (8, 4, 3, 3), "cond_stage_model.transformer.x": (1,)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own.safetensors").touch()
    return tmp_path


def has(monkeypatch: pytest.MonkeyPatch, shapes: Mapping[str, tuple[int, ...]]) -> Model:
    for module in (memory_check, size_warning):
        monkeypatch.setattr(module, "shapes_of", lambda _checkpoint: shapes)
    return find_model(OWN)


def needs_gib(monkeypatch: pytest.MonkeyPatch, model: Model, folder: Path, precision: str) -> float:
    """The need, found from outside by what cards are refused."""
    refused = 0.0
    for tenths in range(200):
        card = SimpleNamespace(total_memory=tenths / 10 * GIB)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device, card=card: card)
        try:
            check_memory(model, folder, torch.device("cuda"), instance_type="g4dn.xlarge", precision=precision)
        except RunError:
            refused = tenths / 10
        else:
            break
    return refused


@pytest.mark.parametrize("precision", ["autocast", "full"])
def test_an_xl_checkpoint_needs_what_the_catalogue_says_of_xl(
    monkeypatch: pytest.MonkeyPatch, folder: Path, precision: str
) -> None:
    with torch.device("meta"):
        names = ("unet", "vae", "text_encoder", "text_encoder_2")
        parts = {name: component(LAYOUTS, "stable-diffusion-xl", name) for name in names}
        shapes = {name: tuple(tensor.shape) for name, tensor in xl_checkpoint(parts).items()}
    known = read_catalogue()["sdxl-base"].memory_need(precision)
    assert known
    # A running average is not loaded.
    model = has(monkeypatch, {**shapes, "model_ema.all": (1 << 33,)})
    assert needs_gib(monkeypatch, model, folder, precision) == pytest.approx(known, abs=0.11)


@pytest.mark.parametrize(
    ("shapes", "size", "warned"),
    [
        (SMALL_XL, {}, "Height=1024 and Width=1024"),
        (SMALL_XL, {"H": 512, "W": 512}, "Height=1024 and Width=1024"),
        (SMALL_XL, {"H": 1024, "W": 1024}, ""),
        (SMALL_XL, {"H": 768, "W": 1344}, ""),
        (SMALL_V1, {}, ""),
        (SMALL_V1, {"H": 128, "W": 512}, "Height=512 and Width=512"),
    ],
)
def test_a_size_far_below_the_layouts_own_is_told(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    folder: Path,
    shapes: Mapping[str, tuple[int, ...]],
    size: Mapping[str, int],
    warned: str,
) -> None:
    model = has(monkeypatch, shapes)
    warn_of_small_size(model, folder, Job(model=OWN, **size))
    assert warned in caplog.text
    assert len(caplog.records) == (1 if warned else 0)


def test_the_catalogues_models_know_their_size(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    warn_of_small_size(find_model("sdxl-base"), tmp_path, Job(model="sdxl-base", H=64, W=64))
    assert not caplog.records
