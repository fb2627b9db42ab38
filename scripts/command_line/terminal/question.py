"""Asks a person before something is done that takes away or costs."""

from __future__ import annotations

import sys

import typer

from scripts.command_line.terminal.command_error import CommandError


def is_somebody_there() -> bool:
    """Whether a person can answer a question."""
    return sys.stdin is not None and sys.stdin.isatty()


def ask(question: str, *, otherwise: str) -> bool:
    """The person's yes or no. `otherwise` says what was not done where nobody answers.

    Raises `CommandError`, for misuse, without an answer. Standard output stays for results.
    """
    try:
        return typer.confirm(question, err=True)
    except (typer.Abort, OSError, RuntimeError) as error:  # Python's words for a standard input that is closed
        raise CommandError(
            f"{otherwise}, because the question got no answer. To go on without a question: --yes.", exit_status=2
        ) from error
