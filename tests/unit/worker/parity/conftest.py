from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from userdata.worker.model import pipeline as pipeline_module
from userdata.worker.model.pipeline import LAYOUTS, load_pipeline

from .oracle import CHANNELS, CONTEXT, MULTIPLIERS, VAE_MULTIPLIERS, Oracle, provide_missing_imports


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    """The `ldm` package's model, with random weights."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        provide_missing_imports(monkeypatch)
        yield Oracle()


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of layouts, with one `narrow`: that of SD v1, only as narrow as the oracle."""
    folder = tmp_path_factory.mktemp("layouts")
    layout = folder / "narrow"
    shutil.copytree(LAYOUTS / "stable-diffusion-v1", layout)
    text_encoder = {"hidden_size": CONTEXT, "intermediate_size": CONTEXT, "projection_dim": CONTEXT}
    _configure(layout / "unet", block_out_channels=_channels(MULTIPLIERS), cross_attention_dim=CONTEXT)
    _configure(layout / "vae", block_out_channels=_channels(VAE_MULTIPLIERS))
    _configure(layout / "text_encoder", num_hidden_layers=2, num_attention_heads=2, **text_encoder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(pipeline_module, "LAYOUTS", folder)
        yield folder


@pytest.fixture(scope="module")
def pipeline(oracle: Oracle, layouts: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The product's pipeline with the oracle's weights, from one file in the original layout."""
    folder = tmp_path_factory.mktemp("checkpoint")
    save_file(oracle.state_dict(), folder / "v1.safetensors")
    return load_pipeline(folder, layout="narrow", device=torch.device("cpu"), from_image=False)


def _channels(multipliers: tuple[int, ...]) -> list[int]:
    return [CHANNELS * multiplier for multiplier in multipliers]


def _configure(component: Path, **changes: Any) -> None:
    file = component / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
