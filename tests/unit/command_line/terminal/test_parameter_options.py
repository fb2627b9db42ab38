from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
import typer
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from scripts.command_line.main import app as sd
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.parameter_options import FIELDS, with_parameter_options


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        (["--watermark", "on"], {"Watermark": "on"}),
        (["--cache", "off"], {"Cache": "off"}),
        # Flags, as in the original scripts; the prompt behind one is not its value.
        (["--skip_grid", "a horse"], {"SkipGrid": "on", "Prompt": "a horse"}),
        (["--no-skip-grid"], {"SkipGrid": "off"}),
        (["--fixed-code"], {"FixedCode": "on"}),
        # As for the original scripts.
        (["--prompt", "a horse"], {"Prompt": "a horse"}),
        (["--prompt=-x"], {"Prompt": "-x"}),
    ],
)
def test_flags_and_the_prompt_are_those_of_the_original_scripts(words: list[str], parameters: dict[str, str]) -> None:
    heard: list[Mapping[str, str]] = []

    def draw(parameters: Mapping[str, str]) -> None:
        heard.append(parameters)

    app = typer.Typer()
    app.command()(with_parameter_options(draw))
    assert CliRunner().invoke(app, words).exit_code == 0
    assert heard == [parameters]


def test_two_prompts_are_refused() -> None:
    app = typer.Typer()
    app.command()(with_parameter_options(lambda parameters: None))
    refused = CliRunner().invoke(app, ["a horse", "--prompt", "a tree"]).exception
    assert isinstance(refused, CommandError)
    assert (str(refused), refused.exit_status) == ("PROMPT and --prompt both give the prompt: leave one out.", 2)


@pytest.mark.parametrize("command", ["deploy", "doctor", "cost"])
def test_the_help_names_every_option_whole_in_a_narrow_terminal(command: str) -> None:
    printed = CliRunner().invoke(sd, [command, "--help"], env={"COLUMNS": "80"}).stdout
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 80
    spelled = {word.strip(",") for line in lines if line.startswith("  -") for word in line.split()}
    assert {f"--{name}" for name in ("H", "W", "ddim_steps", "n_iter", "n_samples", "scale", "init_img")} <= spelled
    assert {str(field.alias) for field in FIELDS.values() if field.alias != "Prompt"} <= {
        *spelled, "FixedCode", "SkipGrid",
    }  # fmt: skip


def test_the_help_has_each_command_below_a_heading_with_its_whole_sentence() -> None:
    printed = CliRunner().invoke(sd, ["--help"], env={"COLUMNS": "80"}).stdout
    assert "..." not in printed.replace("[ARGS]...", "")
    assert max(map(len, printed.splitlines())) <= 80
    assert [line for line in printed.splitlines() if line and line[0] != " "][2:] == [
        *("Draw:", "Follow and fetch:", "Steer a batch:", "What costs money:", "Before a deploy:"),
    ]


@pytest.mark.parametrize("columns", [80, 60])
def test_each_command_has_an_example_and_answers_to_every_spelling(columns: int) -> None:
    group = get_command(sd)
    assert isinstance(group, TyperGroup)
    for name, command in group.commands.items():
        assert (command.epilog or "").startswith(f"Example: `sd {name}"), name
        printed = CliRunner().invoke(sd, [name, "--help"], terminal_width=columns).stdout
        assert max(map(len, printed.splitlines())) <= columns, name
        assert "..." not in re.sub(r"\S\]?\.\.\.", "", printed.partition("\n")[0]) + printed.partition("\n")[2], name
    spelled = {name for option in group.commands["deploy"].params for name in option.opts}
    assert {f"--{name}" for name in FIELDS if name != "prompt"} <= spelled
