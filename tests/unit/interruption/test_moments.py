"""Real processes, interrupted at any moment, of their imports too."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LONGEST = 4.0  # seconds until the signal
PROGRAMS = (
    ("scripts.command_line", "status"),
    ("scripts.command_line", "teardown", "--yes"),
    ("scripts.docs", "--check"),
    ("scripts.local", "sleep", "5"),
    ("scripts.proof", "--yes"),
    ("benchmarks.scaling",),
)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_at_twenty_moments(program: tuple[str, ...], tmp_path: Path) -> None:
    """Of the sentence nothing is asked: a signal before the first line of ours ends Python itself."""
    draw = random.Random(" ".join(program))
    nobody = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    # Nothing answers there.
    nobody |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    nobody |= {"AWS_REGION": "us-east-1", "TMPDIR": str(tmp_path)}
    for _ in range(20):
        number, after = draw.choice((signal.SIGINT, signal.SIGTERM)), draw.uniform(0.1, LONGEST)
        with subprocess.Popen(
            [sys.executable, "-m", *program], cwd=ROOT, env=nobody, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            time.sleep(after)
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
        where = f"{number.name} after {after:.2f} s: {process.returncode}, {errors}"
        assert process.returncode in (0, 1, 128 + number), where
        assert "Traceback" not in errors, where
        assert not list(tmp_path.iterdir()), where
