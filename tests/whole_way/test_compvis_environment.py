"""The lock of the original scripts' environment still resolves: every pin has a file for its Python with its hash."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

DEFINITION = Path(__file__).parents[2] / "userdata/compvis"
# The one that was published as source only.
SOURCE_ONLY = "antlr4-python3-runtime"


def test_every_pin_can_be_installed(tmp_path: Path) -> None:
    """Asks the package index, as the set-up does; torch's builds for CUDA 11.3, on another one, are not asked for."""
    version = re.search(r"python=(\d+\.\d+)", (DEFINITION / "environment.yaml").read_text("utf-8"))
    assert version
    outcome = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--no-input"),
            *("--no-deps", "--require-hashes", "--no-cache-dir", "--target", str(tmp_path)),
            *("--python-version", version[1], "--only-binary=:all:", "--no-binary", SOURCE_ONLY),
            *("--requirement", str(DEFINITION / "requirements.txt")),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
