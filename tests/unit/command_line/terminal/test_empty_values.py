"""An empty value, as an unset variable of the shell makes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from scripts.command_line.main import app


def _commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*words, name))
        else:
            yield (*words, name), command


COMMANDS = {" ".join(words): command for words, command in _commands(typer.main.get_command(app))}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_takes_an_empty_value_for_one_that_was_left_out(name: str) -> None:
    """Else `--stack ""` would be whichever stack the API names first, and `--at ""` a batch that begins at once."""
    command = COMMANDS[name]
    tried = []
    for one in command.params:
        if one.name == "prompt" or one.rich_help_panel or getattr(one, "is_flag", False):
            continue
        words = [""] if one.param_type_name == "argument" else [f"{one.opts[0]}="]
        with pytest.raises(typer.TyperException, match="is empty"):
            command.make_context(name, words if one.param_type_name == "argument" else [*words, *_needed(command)])
        tried.append(one.name)
    assert tried


def _needed(command: Any) -> list[str]:
    return ["x" for one in command.params if one.param_type_name == "argument" and one.required]


def test_a_parameter_may_be_empty_where_its_own_rule_says_so() -> None:
    context = COMMANDS["deploy"].make_context("deploy", ["--prompt-file=", "--height=", ""])
    assert (context.params["from_file"], context.params["H"], context.params["prompt"]) == ("", "", "")
