"""The rows of the proof: what was expected, what was seen, whether it is the same; and the report made of them."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from scripts.command_line.terminal.plain_text import cell, printable
from userdata.contract.atomic_file import write_atomically

WIDTH = 80
LOG_LINES = 60
# "-" is for what nobody knew before, and for what could not be looked at.
Same = Literal["yes", "no", "-"]
ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    step: str
    what: str
    expected: str
    seen: str
    same: Same


def table_of(rows: Iterable[Row]) -> str:
    """The table as plain text, at most 80 columns wide."""
    table = Table(box=None, pad_edge=False)
    for title, width in (("what", 23), ("expected", 21), ("seen", 23), ("same?", 5)):
        table.add_column(title, width=width, overflow="fold")
    step = ""
    for row in rows:
        if row.step != step:
            step = row.step
            table.add_row(cell(f"[{step}]"), "", "", "")
        table.add_row(cell(row.what), cell(row.expected), cell(row.seen), row.same)
    out = io.StringIO()
    Console(file=out, width=WIDTH, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


@dataclass
class Report:
    """The file `proof.md` of a folder, for an issue. It is written anew after each step, so that a killed walk has one.

    `secrets` are masked wherever they stand: the account's number above all. `log` are the commands with the last lines
    of what they have printed, `facts` what each boot has found about its machine.
    """

    folder: Path
    heading: str
    secrets: Sequence[str]
    rows: list[Row] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)

    def add_output(self, command: str, output: str) -> None:
        """Keeps what a command has printed: its last lines."""
        lines = printable(output).splitlines()
        left_out = [f"[{len(lines) - LOG_LINES} lines left out]"] if len(lines) > LOG_LINES else []
        self.log.append("\n".join([f"$ {command}", *left_out, *lines[-LOG_LINES:]]))

    def write(self) -> None:
        """Writes the file."""
        parts = [f"# {self.heading}", _shown(table_of(self.rows))]
        parts += ["## The machines", *map(_shown, self.facts), "## The commands", *map(_shown, self.log)]
        write_atomically(self.folder / "proof.md", (self.masked("\n\n".join(parts)) + "\n").encode())

    def masked(self, text: str) -> str:
        """`text` without the account's number, keys, and the name of the home folder."""
        for secret in self.secrets:
            text = text.replace(secret, "*" * len(secret))
        return ACCESS_KEY.sub("****", text.replace(str(Path.home()), "~"))


def _shown(text: str) -> str:
    # Not between fences, which a command's output may hold as well.
    return textwrap.indent(text, "    ")
