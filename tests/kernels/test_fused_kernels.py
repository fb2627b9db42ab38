"""The fused kernels themselves, by the Triton of the instance's environment: computed on the CPU, compiled for GPUs."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.finished_command import run_to_end

REPOSITORY = Path(__file__).parents[2]
LOCK = REPOSITORY / "userdata/requirements.txt"
SECONDS = 900
# Of the GPUs of stacks/facts/instance_types.py.
ARCHITECTURES = {"T4": 75, "A100": 80, "A10G": 86, "L4 and L40S": 89, "H100 and H200": 90, "B200": 100}

pytestmark = [
    pytest.mark.timeout(2 * SECONDS),
    pytest.mark.skipif(
        (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="Triton is there for Linux on x86_64 alone"
    ),
]


@pytest.fixture
def triton() -> Iterator[Path]:
    """A folder of 700 MB with the locked Triton. It comes with PyTorch for GPUs alone, which nothing else here uses."""
    locked = re.search(r"^triton==.*?(?=^\S)", LOCK.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert locked
    with TemporaryDirectory() as folder:
        lock = Path(folder) / "requirements.txt"
        lock.write_text(locked[0])
        # Alone: what it needs beside it is in this environment, and the lock names it by itself. Without bytecode: the
        # imports compile what they need.
        install = ("-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--no-cache-dir", "--no-compile")
        run(*install, "--target", f"{folder}/site", "--requirement", str(lock), path="")
        yield Path(folder) / "site"


def run(*arguments: str, path: str) -> None:
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    run_to_end(sys.executable, *arguments, seconds=SECONDS, cwd=REPOSITORY, env=environment)


def test_kernels_compute_what_pytorch_does_and_compile_for_each_card(
    triton: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One test, since each process that tests would install Triton for itself."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    run("-m", "tests.kernels.interpreted", path=str(triton))
    run("-m", "tests.kernels.compiled", *map(str, ARCHITECTURES.values()), path=str(triton))
