"""Models of more gigabytes than a machine's memory load all the same: files are mapped, and nothing is copied."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.worker.model.test_transformers import hubs_files
from userdata.boot.steps.model_folder import complete_model_folder
from userdata.contract.bundle import Bundle
from userdata.worker.model import diffusers_folder
from userdata.worker.model.large_encoder import LARGE_ENCODERS
from userdata.worker.model.pipeline import LAYOUTS

MIB = 2**20
# What the modules themselves take, and the libraries that are imported meanwhile.
BESIDE_THE_WEIGHTS = 300 * MIB
SHORT: dict[str, dict[str, Any]] = {
    "transformer": {"n_layers": 4, "n_refiner_layers": 1},
    "text_encoder": {"num_hidden_layers": 2},
}


def save_holes(weights: dict[str, torch.Tensor], file: Path) -> None:
    """A safetensors file of bfloat16 zeros, which takes no room on the disk. `weights` need have no numbers."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in weights.items():
        begin, end = end, end + 2 * tensor.numel()
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as opened:
        opened.write(len(text).to_bytes(8, "little") + text)
        opened.truncate(8 + len(text) + end)


def resident(peak: bool = False) -> int:
    """Bytes of this process in the machine's memory, or the most of them since the peak was last forgotten."""
    name = "VmHWM:" if peak else "VmRSS:"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak")
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("z-image-turbo", SHORT),
        *(pytest.param(name, {}, marks=pytest.mark.long) for name in ("flux2-klein", "z-image", "chroma")),
    ],
)
def test_weights_stay_in_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, changes: dict[str, dict[str, Any]]
) -> None:
    """In the type of a card, but without one: what goes to a card passes through the same maps."""
    monkeypatch.setattr(diffusers_folder, "choose_dtype", lambda *_, **__: torch.bfloat16)
    shutil.copytree(LAYOUTS / name, tmp_path / "models" / name)
    for part, values in changes.items():
        file = tmp_path / "models" / name / part / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
    folder = tmp_path / "model"
    with torch.device("meta"):
        hubs_files(name, Bundle(tmp_path), folder, save=save_holes)
    complete_model_folder(folder, Bundle(tmp_path), name)
    size = sum(file.stat().st_size for file in folder.glob("*/*.safetensors"))
    assert size > 5 * BESIDE_THE_WEIGHTS
    Path("/proc/self/clear_refs").write_text("5")
    before = resident()

    pipeline = diffusers_folder.load_folder(folder, torch.device("cpu"), "autocast")

    assert resident(peak=True) - before < BESIDE_THE_WEIGHTS
    assert getattr(pipeline, LARGE_ENCODERS[type(pipeline).__name__]).dtype == torch.bfloat16
