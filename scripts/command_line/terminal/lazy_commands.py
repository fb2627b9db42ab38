"""Commands that are imported when somebody asks for them, by the table of where each one is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any

import typer

from scripts.command_line.terminal.help import GroupedCommand

PACKAGE = "scripts.command_line"


class LazyCommands(MutableMapping[str, Any]):
    """A group's commands by name: those of a table that has, below each heading, `module:function` and an example."""

    def __init__(self, table: Mapping[str, Mapping[str, str]]) -> None:
        self._rows = {
            place.partition(":")[2]: (place, heading, example)
            for heading, places in table.items()
            for place, example in places.items()
        }
        self._commands: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._commands:
            self._commands[name] = _command(name, *self._rows[name])
        return self._commands[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        del self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def _command(name: str, place: str, heading: str, example: str) -> Any:
    """The function of a place as a command, or its group of commands."""
    module, _, function = place.partition(":")
    found = getattr(import_module(f"{PACKAGE}.{module}"), function)
    epilog = f"Example: `{example}`"
    if isinstance(found, typer.Typer):
        group: Any = typer.main.get_command(found)
        group.name, group.epilog, group.rich_help_panel = name, epilog, heading
        return group
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name, cls=GroupedCommand, rich_help_panel=heading, epilog=epilog)(found)
    return typer.main.get_command(alone)
