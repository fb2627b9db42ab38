"""How commands and their help look: options in groups, nothing cut off, an example; an empty value is refused."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from typer.core import TyperCommand, TyperGroup

# Click's own heading, for what is in no group.
OPTIONS = "Options"


class _Helped:
    """A command with `-h`, too. Click's setting of these names gives them in another order each time."""

    def get_help_option_names(self, ctx: Any) -> list[str]:
        """The names of the option."""
        return ["--help", "-h"]


class GroupedCommand(_Helped, TyperCommand):
    """A command whose options stand below the headings of their `rich_help_panel`.

    An empty value is refused before the command begins, because it comes from an unset variable of the shell: with
    `--stack ""` the API would answer for any stack, and with `--at ""` a batch would begin at once. The parameters of
    images and machine have rules of their own: `--prompt-file ""` takes the file back.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the command line. Raises the error of misuse for an empty value."""
        if not ctx.resilient_parsing:
            typed, _, _ = self.make_parser(ctx).parse_args(args=list(args))
            for one in self.get_params(ctx):
                given = typed.get(str(one.name))
                if not _is_parameter(one) and "" in (given if isinstance(given, (list, tuple)) else [given]):
                    name = str(one.name).upper() if one.param_type_name == "argument" else one.opts[0]
                    ctx.fail(f"{name} is empty, as an unset variable of the shell is. Give a value, or leave it out.")
        return list(super().parse_args(ctx, args))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes a section for each heading, in the order in which the headings come first."""
        rows = [(_heading(one), record) for one in self.get_params(ctx) if (record := _record(one, ctx))]
        _write_sections(formatter, rows)


class GroupedCommands(_Helped, TyperGroup):
    """Commands below the headings of their `rich_help_panel`, each with its first sentence, which is never cut off."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes a section for each heading."""
        commands = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        rows = [
            (getattr(one, "rich_help_panel", None) or "Commands", (name, _first_sentence(one.help or "")))
            for name, one in commands
        ]
        _write_sections(formatter, rows)


def _write_sections(formatter: Any, rows: Iterable[tuple[str, tuple[str, str]]]) -> None:
    order = list(dict.fromkeys(heading for heading, _row in rows))
    for heading, group in groupby(sorted(rows, key=lambda row: order.index(row[0])), key=lambda row: row[0]):
        with formatter.section(heading):
            formatter.write_dl([row for _heading, row in group])


def _is_parameter(one: Any) -> bool:
    """Whether it stands for a parameter of the images or the machine, and is no option of the command itself."""
    return one.name == "prompt" or getattr(one, "rich_help_panel", None) is not None


def _heading(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return "Arguments"
    return getattr(parameter, "rich_help_panel", None) or OPTIONS


def _record(parameter: Any, ctx: Any) -> tuple[str, str] | None:
    """Click's record, with an option's first name and the original scripts' one; other spellings are taken as well."""
    names = parameter.opts
    if parameter.param_type_name == "option":
        parameter.opts = [name for name in names if name == names[0] or not _is_a_spelling(name, names)]
    try:
        record: tuple[str, str] | None = parameter.get_help_record(ctx)
    finally:
        parameter.opts = names
    return record


def _is_a_spelling(name: str, names: list[str]) -> bool:
    """Whether another name says the same but for dashes and underscores, and comes before it or is the original's."""
    alike = [other for other in names if other.replace("_", "-") == name.replace("_", "-")]
    return len(alike) > 1 and (names[0] in alike or "_" not in name)


def _first_sentence(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split()).partition(". ")[0].removesuffix(".") + "."
