"""Whenever a signal comes, the process ends with its status, and what was begun is cleaned up after once."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.interruption.signals import NUMBERS, Interrupted, raise_interrupted, when_interrupted

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
