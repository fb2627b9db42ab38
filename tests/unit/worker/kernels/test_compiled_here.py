from __future__ import annotations

from pathlib import Path

import pytest
import torch

from userdata.worker.kernels import compiled_here as module
from userdata.worker.kernels.compiled_here import compiled_here, remember_compiled

GPU = torch.device("cuda")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    kernels = tmp_path / "fused_kernels.py"
    kernels.write_text("one kernel")
    monkeypatch.setattr(module, "KERNELS", [kernels])
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "NVIDIA A10G")
    return tmp_path


def test_what_was_compiled_is_remembered() -> None:
    assert not compiled_here(GPU)
    remember_compiled(GPU)
    assert compiled_here(GPU)


@pytest.mark.parametrize("changed", ["kernels", "GPU", "PyTorch"])
def test_other_kernels_cards_and_versions_are_compiled_anew(
    monkeypatch: pytest.MonkeyPatch, machine: Path, changed: str
) -> None:
    remember_compiled(GPU)
    if changed == "kernels":
        (machine / "fused_kernels.py").write_text("another kernel")
    elif changed == "GPU":
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "NVIDIA L4")
    else:
        monkeypatch.setattr(torch, "__version__", "9.9.9")
    assert not compiled_here(GPU)


def test_without_a_folder_to_write_to_the_run_goes_on(monkeypatch: pytest.MonkeyPatch, machine: Path) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(machine / "missing"))
    remember_compiled(GPU)
    assert not compiled_here(GPU)
    monkeypatch.delenv("TRITON_CACHE_DIR")
    remember_compiled(GPU)
    assert not compiled_here(GPU)
