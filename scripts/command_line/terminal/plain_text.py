"""Shows text that others have written: logs, errors, names of objects, an image's metadata."""

from __future__ import annotations

import unicodedata

from rich.console import Console
from rich.text import Text


def printable(text: str) -> str:
    r"""`text`, in which what a terminal would obey instead of showing is spelled out, for example an escape as `\x1b`.

    Lines and tabulators stay. Halves of surrogate pairs, which no output takes, are spelled out too.
    """
    return "".join(character if _is_shown(character) else repr(character)[1:-1] for character in text)


def cell(text: str, style: str = "") -> Text:
    """`text` for a table, of which nothing is taken for Rich's markup or for a command to the terminal.

    `style` is Rich's, for example `bold`.
    """
    return Text(printable(text), style)


def print_plain(text: str, console: Console, *, soft_wrap: bool = False) -> None:
    """Prints `text`, of which nothing is taken for Rich's markup or for a command to the terminal.

    `soft_wrap` leaves the breaking of long lines to the terminal, so that a command in them can be copied.
    """
    console.print(printable(text), markup=False, highlight=False, soft_wrap=soft_wrap)


def _is_shown(character: str) -> bool:
    return character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs")
