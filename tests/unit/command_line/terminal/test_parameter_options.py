from __future__ import annotations

import pytest
from typer.testing import CliRunner

from scripts.command_line.main import app
from scripts.command_line.terminal.parameter_options import FIELDS


@pytest.mark.parametrize("command", ["deploy", "doctor", "cost"])
def test_the_help_names_every_option_whole_in_a_narrow_terminal(command: str) -> None:
    printed = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "80"}).stdout
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 80
    spelled = {word.strip(",") for line in lines if line.startswith("  -") for word in line.split()}
    assert {f"--{name}" for name in FIELDS if name != "prompt"} <= spelled
    assert {str(field.alias) for field in FIELDS.values() if field.alias != "Prompt"} <= {
        *spelled, "FixedCode", "SkipGrid",
    }  # fmt: skip
