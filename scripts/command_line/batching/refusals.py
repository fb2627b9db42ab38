"""What is wrong with a file of rows: the first few sentences are told, each with its line, and the rest is counted."""

from __future__ import annotations

from scripts.command_line.terminal.command_error import CommandError

MOST_TOLD = 5
# Reading on would only cost time: a row may need a look at a file in S3.
MOST_COUNTED = 1000


class RowError(ValueError):
    """A row cannot be used. The message is a sentence for a person."""


class FileError(ValueError):
    """The file cannot be read on from here. The message is a sentence for a person."""


class Refusals:
    """The rows that cannot be used."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.count = 0

    def add(self, line: int, why: object) -> None:
        """Refuses the row that begins on `line`. Raises `FileError` when so many are wrong that the file is no such."""
        self.count += 1
        if len(self.told) < MOST_TOLD:
            self.told.append(f"Line {line}: {why}")
        if self.count == MOST_COUNTED:
            raise FileError("Its other lines were not read.")

    def raise_for(self, file: str, last: object = None) -> None:
        """Raises `CommandError`, for misuse, when a row was refused, or reading ended with the sentence `last`."""
        sentences = [*self.told]
        if self.count > len(self.told):
            more = self.count - len(self.told)
            sentences.append("There is 1 more such line." if more == 1 else f"There are {more:,} more such lines.")
        if last:
            sentences.append(str(last))
        if sentences:
            raise CommandError(f"{file} cannot be used. {' '.join(sentences)} Nothing was queued.", exit_status=2)
