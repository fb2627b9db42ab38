from __future__ import annotations

import logging
from pathlib import Path

import pytest

from userdata.boot.steps.bytecode import compile_for_worker
from userdata.contract.layout import Folders


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(str(tmp_path))
    (folders.bundle / "userdata/worker").mkdir(parents=True)
    return folders


def interpreter(folder: Path, *, fails_at: str = "nothing") -> Path:
    """A `python` that notes what it is asked to do, and cannot do `fails_at`."""
    python = folder / "python"
    asked = folder / "asked"
    python.write_text(
        "#!/bin/sh\n"
        'case "$*" in *transformers_index*) what=index ;; *compileall*) what=bytecode ;; *) what="$*" ;; esac\n'
        f'echo "$what" >>"{asked}"\n'
        f'test "$what" != {fails_at}\n'
    )
    python.chmod(0o755)
    return python


def asked_of(python: Path) -> list[str]:
    return python.with_name("asked").read_text().split()


def test_both_the_index_and_the_bytecode_are_written_ahead(folders: Folders, tmp_path: Path) -> None:
    python = interpreter(tmp_path)
    compile_for_worker(folders, python)
    assert asked_of(python) == ["index", "bytecode"]


def test_one_that_fails_is_told_and_leaves_the_other(
    folders: Folders, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    python = interpreter(tmp_path, fails_at="index")
    with caplog.at_level(logging.WARNING):
        compile_for_worker(folders, python)
    assert asked_of(python) == ["index", "bytecode"]
    assert "the worker's next starts will not be faster" in caplog.text
