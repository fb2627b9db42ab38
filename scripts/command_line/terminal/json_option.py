"""The option `--json`: one document alone on standard output, and every sentence on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Annotated, Protocol, TextIO

import typer

JSON = "--json"


class Printable(Protocol):
    """A document (`scripts.command_line.documents`), which is not named here because its library takes long to load."""

    def as_text(self) -> str:
        """The document as JSON."""


# Where the document goes while everything else goes to standard error, and whether it has gone there.
_outputs: list[TextIO] = []
_printed: list[bool] = []


def is_typed(words: Sequence[str]) -> bool:
    """Whether the words of a command line ask for JSON; behind `--` a word is an argument."""
    options = words[: words.index("--")] if "--" in words else words
    return JSON in options


def is_printed() -> bool:
    """Whether this command has printed its document."""
    return bool(_printed)


def print_document(document: Printable) -> None:
    """Prints it on what was standard output before `--json` was read."""
    _printed.append(True)
    output = _outputs[-1] if _outputs else sys.stdout
    output.write(f"{document.as_text()}\n")  # JSON escapes what a terminal would obey
    output.flush()


def forget_printed() -> None:
    """Says that a command begins."""
    _printed.clear()


def _obey(context: typer.Context, wanted: bool) -> bool:
    if wanted:
        context.with_resource(_sentences_to_standard_error())
    return wanted


@contextmanager
def _sentences_to_standard_error() -> Iterator[None]:
    _outputs.append(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _outputs.pop()


Json = Annotated[
    bool,
    typer.Option(JSON, callback=_obey, is_eager=True, help="Print one JSON document, for programs."),
]
