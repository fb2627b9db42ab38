"""The one way in which a command fails: a sentence to a person, and an exit status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class CommandError(Exception):
    """What failed, why, and what to do next. `exit_status` is 1, or 2 for misuse of the command."""

    def __init__(self, message: str, *, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status


@contextmanager
def aws_errors_in_words(doing: str) -> Iterator[None]:
    """Turns an error of AWS into a sentence, in which `doing` completes "Could not ...". Raises `CommandError`."""
    try:
        yield
    except CommandError:
        raise
    except Exception as error:
        # Here, so that a command that asks nothing of AWS loads no library of AWS.
        from scripts.command_line.terminal.aws_errors import in_words

        if words := in_words(error):
            raise CommandError(f"Could not {doing}: {words}") from error
        raise
