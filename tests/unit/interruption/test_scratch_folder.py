"""Nothing stays of a folder for a while, and what a SIGKILL has left of one goes with the next call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from scripts.interruption.scratch_folder import scratch_folder
from scripts.interruption.signals import Interrupted, raise_interrupted

ROOT = Path(__file__).parents[3]
HOLDS = """
import sys, time
from pathlib import Path
from scripts.interruption.scratch_folder import scratch_folder
with scratch_folder("sd-x-", Path(sys.argv[1])) as folder:
    (folder / "half").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_one_in_use_stays_and_one_whose_process_was_killed_goes(tmp_path: Path) -> None:
    other = tmp_path / "sd-x-of-somebody"
    other.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        killed = Path(process.stdout.readline().strip())
        with scratch_folder("sd-x-", tmp_path) as folder:
            assert {*tmp_path.iterdir()} == {other, killed, folder}
        assert not folder.exists()
        process.kill()
    with scratch_folder("sd-x-", tmp_path) as folder:
        assert {*tmp_path.iterdir()} == {other, folder}


def test_one_whose_process_was_killed_before_it_was_locked_goes_once_that_is_sure(tmp_path: Path) -> None:
    killed, full = tmp_path / "sd-x-killed", tmp_path / "sd-x-of-somebody"
    killed.mkdir()
    (killed / ".in-use.new").touch()
    full.mkdir()
    (full / "theirs").touch()
    for folder in (killed, full):
        os.utime(folder, (0, 0))
    with scratch_folder("sd-x-", tmp_path) as folder:
        assert {*tmp_path.iterdir()} == {full, folder}
    assert (full / "theirs").exists()


def test_a_signal_as_soon_as_there_is_a_folder_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = tempfile.mkdtemp

    def interrupted(**options: Any) -> str:
        made = str(make(**options))
        os.kill(os.getpid(), signal.SIGTERM)
        return made

    monkeypatch.setattr(tempfile, "mkdtemp", interrupted)
    raise_interrupted()
    with pytest.raises(Interrupted), scratch_folder("sd-x-", tmp_path):
        pass
    assert not list(tmp_path.iterdir())
