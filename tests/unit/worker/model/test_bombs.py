"""Models, LoRAs and embeddings of little size that would make much memory, or take ages: refused before they are."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from userdata.contract import safetensors_header
from userdata.job.run_error import RunError
from userdata.worker.model import pickle_bombs
from userdata.worker.model.diffusers_folder import load_folder
from userdata.worker.model.lora import check_lora
from userdata.worker.model.lora_file import read_lora
from userdata.worker.model.pickle_bombs import MOST_PICKLE_BYTES
from userdata.worker.model.tensor_file import look_into

# A tuple that holds the one before twice, thirty times, as the key of a dictionary: its hash takes 2^30 steps.
LAUGHS = b"\x80\x02})q\x00" + b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(30)) + b"K\x01s."
# One that holds one that holds one: its hash takes all of the machine's stack.
DEEP = b"\x80\x02})" + b"\x85" * 2000 + b"K\x01s."
MILLIARD = b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x3f\x85R."
MILLIARD_2 = MILLIARD.replace(b"builtins", b"__builtin__")
SLOW = b"\x80\x02c_codecs\nencode\nX\x04\x00\x00\x00textX\x08\x00\x00\x00punycode\x86R."


def torch_file(pickled: bytes, compression: int = zipfile.ZIP_STORED, **others: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in {"data.pkl": pickled, "version": b"3\n", "byteorder": b"little", **others}.items():
            archive.writestr(f"archive/{name}", content)
    return file.getvalue()


def saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def header(document: Mapping[str, object] | bytes, *, length: int | None = None) -> bytes:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text


BOMBS = {
    "compressed": (torch_file(bytes(1000), zipfile.ZIP_DEFLATED), "its archive is compressed"),
    "behind other bytes": (b"PK\3\4" + bytes(40) + torch_file(b"\x80\x02}."), "something stands before its archive"),
    "a long pickle": (torch_file(bytes(MOST_PICKLE_BYTES + 1)), "has more than 16,777,216 bytes"),
    "many lists": (torch_file(b"\x80\x02" + b"]" * 6000), "has more than 5,000 instructions"),
    "many lists of the old form": (b"\x80\x02" + b"]" * 6000, "has more than 5,000 instructions"),
    "a long text of the old form": (b"\x80\x02X\xff\xff\xff\x7f", "has more than 16,777,216 bytes"),
    "tuples in tuples": (torch_file(LAUGHS), "a tuple that holds more than 1,000 values"),
    "tuples in tuples of the old form": (LAUGHS, "a tuple that holds more than 1,000 values"),
    "deep tuples": (torch_file(DEEP), "a tuple that holds more than 1,000 values"),
    "a milliard of bytes": (torch_file(MILLIARD), "it calls builtins bytearray"),
    "a milliard of bytes, by the older name": (torch_file(MILLIARD_2), "it calls __builtin__ bytearray"),
    "a slow encoding": (torch_file(SLOW), "it calls _codecs encode"),
    "a number again and again": (saved({"a": torch.zeros(1).expand(10**6, 10**6)}), "has not each of its numbers"),
    "a tensor without numbers": (saved({"a": torch.empty(10**9, device="meta")}), "has not each of its numbers"),
    "a sparse tensor": (saved({"a": torch.zeros(2, 2).to_sparse()}), "has not each of its numbers"),
    "a header of 100 MB": (header(b"{}", length=100_000_000), "the header is too long"),
    "a deep header": (header(b'{"a":' * 5000), "nested too deeply"),
    "a rank of a milliard": (
        header({"a": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 0]}}),
        "more numbers than any file can hold",
    ),
    "a place before the file": (
        header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}),
        "is not a type, a shape and a place",
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused_by_its_header(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_bombs, "MOST_INSTRUCTIONS", 5000)
    monkeypatch.setattr(pickle_bombs, "MOST_IN_TUPLE", 1000)
    content, why = BOMBS[kind]
    file = tmp_path / ("a.safetensors" if "header" in kind else "a.bin")
    file.write_bytes(content)
    with pytest.raises(ValueError, match=why):
        look_into(file)


def test_what_pickle_itself_writes_is_no_bomb(tmp_path: Path) -> None:
    file = tmp_path / "a.ckpt"
    # By protocol 2 bytes are an encoded text, and a `bytearray` one of those.
    inner = {"bytes": b"\x00\xff", "more": bytearray(b"\x00\xff"), "shapes": [tuple(range(9000))]}
    file.write_bytes(saved({"state_dict": {"a": torch.zeros(2, 3)}, "inner": inner}))
    assert look_into(file)[0] == {"a": (2, 3)}


NETWORKS = {"unet": torch.nn.ModuleDict({"to_q": torch.nn.Linear(4, 4)})}
LORA = {"unet.to_q.lora_A.weight": torch.ones(2, 4), "unet.to_q.lora_B.weight": torch.ones(4, 2)}


@pytest.mark.parametrize(
    ("alphas", "why"),
    [
        ({"(a|a)*(a|a)*(a|a)*!": 1}, "no path of a layer"),
        ({".*.*.*.*.*.*.*!": 1}, "no path of a layer"),
        ({f".*{n}": 1 for n in range(17)}, "more than 16 regular expressions"),
        ({f"a{n}": 1 for n in range(2001)}, "no list of them"),
        ({"to_q": 10**12}, "no alpha"),
    ],
)
def test_settings_of_peft_that_take_ages_are_refused(tmp_path: Path, alphas: dict[str, int], why: str) -> None:
    file = tmp_path / "style.safetensors"
    settings = json.dumps({"lora_alpha": 1, "alpha_pattern": alphas})
    file.write_bytes(save(LORA, metadata={"lora_adapter_metadata": settings}))
    with pytest.raises(RunError, match=rf"settings of PEFT that cannot be read .*{why}"):
        read_lora(file, NETWORKS)


def test_a_rank_that_the_settings_tell_is_not_believed(tmp_path: Path) -> None:
    """diffusers' own reader of LoRAs makes matrices of it."""
    file = tmp_path / "style.safetensors"
    told = {"unet.r": 10**9, "unet.lora_alpha": 4, "unet.target_modules": 5, "unet.alpha_pattern": {".*to_q": 6}}
    file.write_bytes(save(LORA, metadata={"lora_adapter_metadata": json.dumps(told)}))
    (layer,) = read_lora(file, NETWORKS)
    assert layer.scale == 3.0


def test_a_header_that_is_too_long_is_no_lora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library takes 100 MB."""
    monkeypatch.setattr(safetensors_header, "LONGEST_HEADER", 1000)
    file = tmp_path / "style.safetensors"
    file.write_bytes(save(LORA, metadata={"note": "a" * 1000}))
    with pytest.raises(RunError, match="the header is too long"):
        check_lora(file)


def test_a_bomb_in_a_folder_is_refused_before_diffusers_opens_it(tmp_path: Path) -> None:
    def load() -> None:
        load_folder(tmp_path, torch.device("cpu"), "full")

    index = tmp_path / "model_index.json"
    index.write_text('{"a":' * 5000)
    with pytest.raises(RunError, match="is no description of a model .*nested too deeply"):
        load()
    index.write_text('{"_class_name": "StableDiffusionPipeline"}')
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet/diffusion_pytorch_model.bin").write_bytes(torch_file(LAUGHS))
    with pytest.raises(RunError, match=r"pytorch_model\.bin cannot be used: it has a tuple .* Name another model"):
        load()
