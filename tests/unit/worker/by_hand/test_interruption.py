"""A script that a person interrupts ends with one line, while it imports too, and leaves no half file."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from userdata.contract.atomic_file import write_atomically

ROOT = Path(__file__).parents[4]
LATE = """
import os, runpy, sys, time
class Library:
    def find_spec(self, name, *_):
        if name == "numpy":
            os.write(1, b"."); time.sleep(60)
sys.meta_path.insert(0, Library())
sys.argv = ["txt2img"]
runpy.run_module("userdata.worker.txt2img", run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_one_line(number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LATE], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as script:
        assert script.stdout and script.stdout.read(1) == "."
        script.send_signal(number)
        _, errors = script.communicate(timeout=30)
    assert (script.returncode, errors) == (128 + number, "\ntxt2img: Interrupted; the images that were saved stay.\n")


def test_no_half_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise SystemExit(130)

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(SystemExit):
        write_atomically(tmp_path / "00000.png", b"png")
    assert list(tmp_path.iterdir()) == []
