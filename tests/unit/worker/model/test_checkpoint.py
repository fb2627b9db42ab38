"""Files that are given as a model by mistake or by malice: each is refused with what it is."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

from userdata.job.run_error import RunError
from userdata.worker.model.checkpoint import layout_of, shapes_of
from userdata.worker.model.tensor_names import INPUT

GGUF = b"GGUF" + struct.pack("<IQQ", 3, 10, 10) + bytes(100)
PAGE = b"\n<!DOCTYPE html><html>Log in</html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n"


def _tensors(*, channels: int = 4, encoder: str = "cond_stage_model.transformer.x") -> dict[str, torch.Tensor]:
    return {INPUT: torch.zeros(8, channels, 3, 3), encoder: torch.zeros(1)}


def _torch_file(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _zip(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.safetensors", b"", "it is empty"),
        ("a.ckpt", b"", "it is empty"),
        ("a.safetensors", PAGE, "it is a web page"),
        ("a.ckpt", PAGE, "it is a web page"),
        ("a.safetensors", GGUF, "it is a GGUF file"),
        ("a.ckpt", GGUF, "it is a GGUF file"),
        ("a.safetensors", POINTER, "it is Git LFS's pointer"),
        ("a.ckpt", b'{"error": "Access denied"}', 'it is JSON, as a server sends .* "Access denied"'),
        ("a.safetensors", b"Invalid username or password.\n", "it is a text, as a server sends .* Invalid username"),
        ("a.safetensors", b"<?xml version='1.0'?><Error/>", "it is XML, as a server sends"),
        (
            "a.safetensors",
            _zip({"model/a.safetensors": save(_tensors())}),
            r"it is a zip archive.*model/a\.safetensors",
        ),
        ("a.ckpt", b"7z\xbc\xaf\x27\x1c", "it is a packed archive"),
        ("a.ckpt", b"\x89PNG\r\n\x1a\n", "it is a picture"),
        ("a.ckpt", _torch_file(_tensors()) + bytes(70000), "70000 bytes follow the end of its archive"),
        ("a.ckpt", pickle.dumps({"a": 1}, protocol=4), "instructions that torch's safe reader does not take"),
        ("a.safetensors", save(_tensors())[:-20], "it is cut off: .* ends at byte"),
        ("a.safetensors", struct.pack("<Q", 2**62) + b"{}", "the header is too long"),
        ("a.ckpt", _torch_file(_tensors())[:-200], "it is cut off"),
        ("a.ckpt", _zip({"readme.txt": b"hello"}), "it is a zip archive, but no file of torch.save"),
        (
            "a.ckpt",
            _zip({"archive/data.pkl": bytes(1 << 24), "archive/version": b"3\n"}),
            "its archive is compressed, as torch.save never does",
        ),
        ("a.ckpt", b"\x80\x02" + b"(" * 9999 + b".", "damaged"),
        ("a.ckpt", b"\x80\x02h\x05.", "damaged"),
        ("a.ckpt", pickle.dumps(zipfile.is_zipfile, protocol=2), "nothing of it was run"),
        ("a.ckpt", _torch_file([1, 2]), "it holds no state_dict"),
        ("a.ckpt", _torch_file({"state_dict": {1: torch.zeros(1)}}), "it is a part of a model, or something else"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=f"a.* is no checkpoint that can be used: .*{why}.* Name a whole"):
        _look_into(tmp_path / name)


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({"lora_unet_down.lora_down.weight": torch.zeros(2, 2)}, "it is a LoRA"),
        (_tensors(channels=9), "it wants 9 channels: it is a model for inpainting"),
        (_tensors(encoder="cond_stage_model.model.x"), "the layout of Stable Diffusion 2"),
        (_tensors(encoder="x"), "no text encoder"),
        (_tensors() | {INPUT: torch.zeros(8)}, r"has the shape \[8\]: it is damaged"),
    ],
)
def test_another_kind_of_model_is_named(tmp_path: Path, tensors: dict[str, torch.Tensor], why: str) -> None:
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(RunError, match=why):
        _look_into(tmp_path / "a.safetensors")
    torch.save({"state_dict": tensors}, tmp_path / "a.ckpt")
    with pytest.raises(RunError, match=why):
        _look_into(tmp_path / "a.ckpt")


def test_too_little_memory_is_not_called_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    (tmp_path / "a.ckpt").write_bytes(_torch_file(_tensors()))
    monkeypatch.setattr(torch, "load", fails)
    with pytest.raises(RunError, match=r"^The machine's memory does not suffice to open a\.ckpt\. Deploy again"):
        _look_into(tmp_path / "a.ckpt")


def _look_into(file: Path) -> str:
    return layout_of(file, shapes_of(file))
