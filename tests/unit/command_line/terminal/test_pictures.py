"""Pictures are shown to a person's terminal alone, which may not answer; a hostile one is text."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from scripts.command_line.terminal.pictures import show_pictures

CODE = """
import sys
from pathlib import Path
from rich.console import Console
from scripts.command_line.terminal.pictures import show_pictures
show_pictures([Path(name) for name in sys.argv[1:]], Console())
print("ended", sorted(name for name in sys.modules if name == "textual_image"))
"""


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    Image.new("RGB", (64, 64), (200, 10, 10)).save(tmp_path / "red.png")
    (tmp_path / "bomb\x1b[31m.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"[bold]" * 10)
    return [str(tmp_path / "red.png"), str(tmp_path / "bomb\x1b[31m.png"), str(tmp_path / "gone.png")]


def seen(pictures: list[str], answer: bytes = b"", columns: int = 80) -> str:
    """What a terminal gets that answers so to the first question."""
    ours, theirs = pty.openpty()
    os.write(ours, answer)  # before the question, because it is waited for a tenth of a second only
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    child = subprocess.Popen(
        [sys.executable, "-c", CODE, *pictures], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    found, until = b"", time.monotonic() + 60
    while time.monotonic() < until:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        found += part
    os.close(ours)
    assert child.wait(timeout=10) == 0, found
    return found.decode("utf-8", "replace")


def test_a_terminal_that_does_not_answer_gets_half_blocks_and_hostile_files_are_text(pictures: list[str]) -> None:
    said = seen(pictures)
    assert "▀" in said
    assert "200;10;10" in said
    assert "\x1b[31m.png" not in said
    flat = said.replace("\r\n", "")
    assert "bomb\\x1b[31m.png cannot be shown: it cannot be decoded" in flat or "it is no PNG" in flat
    assert "gone.png cannot be shown" in flat
    assert "ended ['textual_image']" in said


def test_a_terminal_that_speaks_sixel_gets_sixels(pictures: list[str]) -> None:
    assert "\x1bP" in seen(pictures[:1], answer=b"\x1b[?62;4c")


def test_a_file_or_a_pipe_gets_nothing_and_is_not_asked(pictures: list[str]) -> None:
    assert seen(pictures, columns=0).split() == ["ended", "[]"], "a terminal without a size"
    command = [sys.executable, "-c", CODE, *pictures]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "ended []\n"
    printed = io.StringIO()
    show_pictures([Path(name) for name in pictures], Console(file=printed))
    assert printed.getvalue() == ""
