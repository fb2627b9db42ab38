from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from userdata.worker.model import safetensors_file
from userdata.worker.model.safetensors_file import DTYPES, read_safetensors

CPU = torch.device("cpu")
SHAPES = st.lists(st.integers(0, 4), max_size=3)


def read(file: Path, *, without: str = "never") -> dict[str, torch.Tensor]:
    return dict(read_safetensors(file, device=CPU, wanted=lambda name: not name.startswith(without)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.dictionaries(st.text(min_size=1, max_size=5), st.tuples(st.sampled_from(sorted(DTYPES)), SHAPES)),
    piece=st.integers(1, 200),
)
def test_what_the_library_writes_is_read_as_the_library_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: dict[str, tuple[str, list[int]]], piece: int
) -> None:
    tensors = {name: (torch.rand(shape) * 100).to(DTYPES[dtype]) for name, (dtype, shape) in parts.items()}
    tensors.pop("__metadata__", None)
    file = tmp_path / "model.safetensors"
    save_file(tensors, file, metadata={"format": "pt"})
    monkeypatch.setattr(safetensors_file, "PIECE_BYTES", piece)
    found, expected = read(file), load_file(file)
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert torch.equal(found[name].reshape(-1).view(torch.uint8), tensor.reshape(-1).view(torch.uint8))


def test_a_number_may_lie_anywhere(tmp_path: Path) -> None:
    """The library writes larger types first; others write as they like."""
    header = {
        "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]},
    }
    text = json.dumps(header).encode()
    numbers = torch.tensor([1.5, -2.5])
    content = len(text).to_bytes(8, "little") + text + b"\x07" + numbers.numpy().tobytes()
    (tmp_path / "model.safetensors").write_bytes(content)
    found = read(tmp_path / "model.safetensors")
    assert found["a"].tolist() == [7]
    assert found["b"].tolist() == [1.5, -2.5]


def test_what_is_not_wanted_is_not_read(tmp_path: Path) -> None:
    tensors = {name: torch.rand(3) for name in ("a", "b", "c")}
    save_file(tensors, tmp_path / "model.safetensors")
    found = read(tmp_path / "model.safetensors", without="b")
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        name: tensors[name].tolist() for name in ("a", "c")
    }
    # Where there is no memory behind a tensor, its piece is still as large as what would have been read.
    for _, tensor in read_safetensors(
        tmp_path / "model.safetensors", device=torch.device("meta"), wanted=lambda name: name in found
    ):
        assert tensor.untyped_storage().nbytes() == 3 * 4


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>a page of a server</html>",
        b"\xff" * 64,
        b"\x02" + bytes(7) + b"[]",
        b'\x10\x00\x00\x00\x00\x00\x00\x00{"a":{"dtype":1}}',
    ],
)
def test_a_broken_file_ends_in_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises((ValueError, KeyError, TypeError, RuntimeError, AttributeError)):
        read(tmp_path / "model.safetensors")


def test_a_file_that_is_cut_off_ends_in_an_error(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"a": torch.rand(100)}, file)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(RuntimeError):
        read(file)
