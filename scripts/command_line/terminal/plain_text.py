"""Shows text from outside: logs, errors, names of objects, an image's metadata."""

from __future__ import annotations

import unicodedata

from rich.console import Console
from rich.text import Text


def printable(text: str) -> str:
    r"""`text` with every character spelled out that a terminal would obey, for example an escape as `\x1b`.

    Line breaks and tabs stay. Halves of surrogate pairs, which no output takes, are spelled out too.
    """
    return "".join(
        repr(character)[1:-1]
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t"
        else character
        for character in text
    )


def cell(text: str, style: str = "") -> Text:
    """`text` for a table, without any effect as Rich's markup or as a command to the terminal.

    `style` is Rich's, for example `bold`.
    """
    return Text(printable(text), style)


def print_plain(text: str, console: Console, *, soft_wrap: bool = False) -> None:
    """Prints `text`, without any effect as Rich's markup or as a command to the terminal.

    `soft_wrap` leaves long lines to the terminal, so that a command in them can be copied.
    """
    console.print(printable(text), markup=False, highlight=False, soft_wrap=soft_wrap)
