"""Shows text from outside: logs, errors, names of objects, an image's metadata."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Iterable

import typer
from rich.console import Console
from rich.text import Text

# Control characters; those that have no width, turn the direction of writing or hide text; halves of surrogate pairs,
# which no output takes; private and unassigned ones, which each terminal shows in its own way; separators of lines.
SPELLED_OUT = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def printable(text: str) -> str:
    r"""`text` with every character spelled out that a terminal would obey or hide, for example an escape as `\x1b`.

    Line breaks and tabs stay.
    """
    return "".join(
        ascii(character)[1:-1]
        if unicodedata.category(character) in SPELLED_OUT and character not in "\n\t"
        else character
        for character in text
    )


def on_one_line(text: str) -> str:
    """The same, with line breaks and tabs spelled out too: for a name inside a sentence."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def in_shell(words: Iterable[str]) -> str:
    """`words` as a command of one line that a person can copy, like `shlex.join`.

    A word with characters that are spelled out on a terminal, such as those that join emoji, is written as bash and
    zsh read it, in `$'...'`; else the copied command would be about another text, and what it holds would be typed.
    """
    return " ".join(shlex.quote(word) if on_one_line(word) == word else f"$'{_escaped(word)}'" for word in words)


def _escaped(word: str) -> str:
    return "".join(one if on_one_line(one) == one and one not in "\\'" else f"\\U{ord(one):08x}" for one in word)


def say(text: str, *, err: bool = False) -> None:
    """Prints `text`, which may contain words from outside, as it is but for what a terminal would obey or hide."""
    typer.echo(printable(text), err=err)


def cell(text: str, style: str = "") -> Text:
    """`text` for a table, without any effect as Rich's markup or as a command to the terminal.

    `style` is Rich's, for example `bold`.
    """
    return Text(printable(text), style)


def print_plain(text: str, console: Console, *, soft_wrap: bool = False) -> None:
    """Prints `text`, without any effect as Rich's markup or its names of emoji, or as a command to the terminal.

    `soft_wrap` leaves long lines to the terminal, so that a command in them can be copied.
    """
    console.print(printable(text), markup=False, emoji=False, highlight=False, soft_wrap=soft_wrap)
