from __future__ import annotations

from pathlib import Path

import pytest
import torch

from demo_model.training.architecture import load_tokenizer, make_text_encoder, make_unet, make_vae
from demo_model.training.export import export
from demo_model.training.tokenizer import write_tokenizer


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model of the box's architecture, exported as the training does, with random weights."""
    folder = tmp_path_factory.mktemp("trained")
    write_tokenizer(folder / "tokenizer")
    torch.manual_seed(0)
    text_encoder = make_text_encoder(load_tokenizer(folder / "tokenizer"))
    export(folder, vae=make_vae(), unet=make_unet(), text_encoder=text_encoder)
    return folder
