from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from demo_model.publishing import publish as publishing
from demo_model.publishing.publish import FILES, UnfitModelError, publish
from userdata.boot.steps.bundled_model import check_bundled_model
from userdata.contract.bundle import BUNDLE
from userdata.contract.catalogue import read_catalogue

BIAS = "decoder.conv_out.bias"
VAE = "vae/diffusion_pytorch_model.safetensors"


@pytest.fixture
def trained(untrained: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    shutil.copytree(untrained, folder)
    return folder


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    return Path(shutil.copyfile(BUNDLE.catalogue, tmp_path / "models.json"))


def change_bias(folder: Path, tensor: torch.Tensor) -> None:
    weights = load_file(folder / VAE)
    save_file({**weights, BIAS: tensor}, folder / VAE, metadata={"format": "pt"})


def test_the_boot_accepts_what_was_published(trained: Path, catalogue: Path, tmp_path: Path) -> None:
    (trained / "train.log").write_text("for people")
    sha256 = publish(trained, box=tmp_path / "box", catalogue=catalogue)
    assert read_catalogue(catalogue)["demo"].bundled_sha256 == sha256
    check_bundled_model(tmp_path / "box", sha256)
    found = {path.relative_to(tmp_path / "box").as_posix() for path in (tmp_path / "box").rglob("*") if path.is_file()}
    assert found == {*FILES, "LICENSE"}


def test_nothing_else_of_the_catalogue_changes(trained: Path, catalogue: Path, tmp_path: Path) -> None:
    before = json.loads(catalogue.read_text())
    before["demo"]["bundled_sha256"] = publish(trained, box=tmp_path / "box", catalogue=catalogue)
    assert catalogue.read_text() == json.dumps(before, indent=2, ensure_ascii=False) + "\n"


def test_the_licence_and_whose_pictures_they_were_travel_along(trained: Path, catalogue: Path, tmp_path: Path) -> None:
    publish(trained, box=tmp_path / "box", catalogue=catalogue)
    licence = (tmp_path / "box/LICENSE").read_text()
    assert "Copyright 2022 Google Inc." in licence
    assert "Noto Color Emoji" in licence
    assert "SIL OPEN FONT LICENSE Version 1.1" in licence
    assert "PERMISSION & CONDITIONS" in licence


def test_a_new_model_takes_the_place_of_the_old_one(trained: Path, catalogue: Path, tmp_path: Path) -> None:
    box = tmp_path / "box"
    first = publish(trained, box=box, catalogue=catalogue)
    (box / "of the old one").touch()
    change_bias(trained, torch.ones(3, dtype=torch.float16))
    second = publish(trained, box=box, catalogue=catalogue)
    assert second != first
    assert not (box / "of the old one").exists()
    assert read_catalogue(catalogue)["demo"].bundled_sha256 == second


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "tokenizer/merges.txt").unlink(), "lacks tokenizer/merges.txt"),
        (lambda folder: (folder / VAE).write_bytes(b"torn"), "cannot be read"),
        (lambda folder: change_bias(folder, torch.ones(3)), "is torch.float32, not torch.float16"),
        (lambda folder: change_bias(folder, torch.full((3,), torch.nan, dtype=torch.float16)), "no finite numbers"),
        (
            lambda folder: change_bias(folder, torch.ones(publishing.MOST_BYTES // 2, dtype=torch.float16)),
            "MB; at most 16 go into the box",
        ),
    ],
)
def test_an_unfit_model_changes_nothing(
    trained: Path, catalogue: Path, tmp_path: Path, spoil: object, words: str
) -> None:
    box = tmp_path / "box"
    publish(trained, box=box, catalogue=catalogue)
    listed, names = catalogue.read_text(), sorted(path.name for path in tmp_path.iterdir())
    assert callable(spoil)
    spoil(trained)
    with pytest.raises(UnfitModelError, match=words):
        publish(trained, box=box, catalogue=catalogue)
    assert catalogue.read_text() == listed
    sha256 = read_catalogue(catalogue)["demo"].bundled_sha256
    assert sha256
    check_bundled_model(box, sha256)
    assert sorted(path.name for path in tmp_path.iterdir()) == names
