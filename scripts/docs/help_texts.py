"""What the commands print with `--help`."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any
from unittest import mock

import typer

from scripts.command_line.main import app
from stacks.facts.machine_parameters import MachineParameters
from userdata.job.job import Job

# A terminal of 80 columns without colours, whatever the caller's is.
TERMINAL = {"COLUMNS": "80", "NO_COLOR": "1", "FORCE_COLOR": "", "TERM": "dumb"}
PARAMETERS = {*Job.model_fields, *MachineParameters.model_fields}
# They have the options of `sd deploy` for the parameters, or for those of the images, and are shown without them.
SHORTENED = ("doctor", "cost", "generate")


def help_texts() -> str:
    """The help of `sd` and of each command, under a heading each.

    Of the commands that take parameters, `sd deploy` alone is shown with these options.
    """
    group: Any = typer.main.get_command(app)
    return "\n\n".join(f"## {' '.join(words)}\n\n```\n{text}\n```" for words, text in _of(group, ["sd"]))


def _of(command: Any, words: list[str]) -> Iterator[tuple[list[str], str]]:
    if words[-1] in SHORTENED:
        for parameter in command.params:
            if parameter.name in PARAMETERS:
                parameter.hidden = True
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), mock.patch.dict("os.environ", TERMINAL):
        command.main(["--help"], prog_name=" ".join(words), standalone_mode=False)
    yield words, "\n".join(line.rstrip() for line in printed.getvalue().strip("\n").splitlines())
    for name, one in sorted(getattr(command, "commands", {}).items()):
        yield from _of(one, [*words, name])
