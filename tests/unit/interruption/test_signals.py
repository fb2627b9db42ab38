"""Whenever a signal comes, the process ends with its status, and what was begun is cleaned up after once."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.interruption.signals import NUMBERS, Interrupted, held, raise_interrupted, when_interrupted

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("number", NUMBERS)
def test_the_innermost_word_is_told_and_further_signals_do_not_disturb_the_cleaning_up(number: int) -> None:
    raise_interrupted()
    cleaned = []

    def tell() -> str:
        signal.raise_signal(number)
        cleaned.append("told")
        return "the run goes on"

    def end() -> None:
        with when_interrupted(lambda: "nothing was changed"), when_interrupted(tell):
            try:
                signal.raise_signal(number)
            finally:
                signal.raise_signal(number)
                cleaned.append("away")

    with pytest.raises(Interrupted) as interrupted:
        end()
    assert (interrupted.value.told, interrupted.value.exit_status) == ("the run goes on", 128 + number)
    assert cleaned == ["away", "told"]


def test_a_signal_that_a_library_swallowed_is_obeyed_the_next_time() -> None:
    raise_interrupted()
    with contextlib.suppress(BaseException):
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_modules_are_imported_a_signal_ends_the_command_at_once(number: int) -> None:
    """Also from within an import that passes over every exception."""
    late = (
        "import sys, os, time; from scripts.command_line import __main__ as sd\n"
        "class Library:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer':\n"
        "            try: os.write(1, b'.'); time.sleep(60)\n"
        "            except BaseException: pass\n"
        "sys.meta_path.insert(0, Library()); sd.main()"
    )
    command = [sys.executable, "-c", late]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.read(1) == "."
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert errors == "\nsd: Interrupted; nothing was changed.\n"


def test_what_was_started_to_pass_over_a_signal_goes_on_doing_so() -> None:
    """`nohup`, and what a shell has put into the background."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise_interrupted()
    signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_what_is_held_ends_first_and_with_what_is_around_it() -> None:
    raise_interrupted()
    done = []
    with pytest.raises(Interrupted) as interrupted, held():
        with held():
            signal.raise_signal(signal.SIGTERM)
            done.append("within")
        done.append("around")
    assert (done, interrupted.value.number) == (["within", "around"], signal.SIGTERM)
    with held():
        pass
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGINT)


PROGRAM = """
import os, sys
from scripts.interruption.scratch_folder import scratch_folder
from scripts.interruption.signals import ends_in_a_sentence
from pathlib import Path
import time
with ends_in_a_sentence():
    with scratch_folder("sd-x-", Path(sys.argv[1])):
        os.write(1, b".")
        time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_ends_in_a_sentence_and_leaves_no_folder(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.read(1) == "."
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (128 + number, "\nInterrupted; what was written before is whole.\n")
    assert not list(tmp_path.iterdir())


def test_every_program_is_ended_so() -> None:
    """What is run by `python -m`; `sd`, its studio and the local cloud say more."""
    programs = {
        path: text
        for folder in ("benchmarks", "demo_model", "scripts")
        for path in (ROOT / folder).rglob("*.py")
        if '\nif __name__ == "__main__":' in (text := path.read_text("utf-8"))
    }
    own = (
        *("scripts/command_line/__main__.py", "scripts/studio/__main__.py", "scripts/python_packages.py"),
        "scripts/local/machines/",
    )
    assert len(programs) > 15
    for path, text in programs.items():
        if not str(path.relative_to(ROOT)).startswith(own):
            assert "\n    with ends_in_a_sentence():\n" in text, path


def test_every_folder_for_a_while_goes_with_the_next_call() -> None:
    for folder in ("benchmarks", "demo_model", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "scratch_folder.py":
                assert "TemporaryDirectory(" not in path.read_text("utf-8"), path
