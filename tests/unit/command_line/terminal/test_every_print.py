"""What comes from outside reaches the terminal by `say`, `print_plain` and `cell`, which let nothing of it act."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[4]
ROOMS = [ROOT / "scripts" / room for room in ("command_line", "studio", "interruption", "proof")]
RAW = ("echo", "secho", "print")
OWN = "scripts/command_line/terminal/plain_text.py"


def raw_prints(source: str) -> list[int]:
    """The lines that print a text which is put together there, or a result, without one of those ways.

    A name that `print` is given may stand for a table, whose cells are texts of their own.
    """
    calls = [call for call in ast.walk(ast.parse(source)) if isinstance(call, ast.Call) and _name(call.func) in RAW]
    return [
        call.lineno
        for call in calls
        if any(_is_text(argument, by_name=_name(call.func) != "print") for argument in call.args)
    ]


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_text(argument: ast.expr, *, by_name: bool) -> bool:
    if isinstance(argument, ast.IfExp):
        return _is_text(argument.body, by_name=by_name) or _is_text(argument.orelse, by_name=by_name)
    if isinstance(argument, ast.Name):
        return by_name
    if isinstance(argument, ast.Call):
        return _name(argument.func) not in ("printable", "cell", "Text", "Group", "Panel", "Padding")
    return isinstance(argument, ast.JoinedStr | ast.BinOp | ast.Attribute)


def test_no_text_is_printed_raw() -> None:
    files = {str(file.relative_to(ROOT)): file.read_text("utf-8") for room in ROOMS for file in room.rglob("*.py")}
    found = {name: raw_prints(text) for name, text in files.items() if name != OWN}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_a_raw_print_is_found() -> None:
    of_calls = ['typer.echo(f"{a}")', "typer.echo(told(a))", "typer.echo(a)"]
    raw = [*of_calls, 'console.print("a" + b)', "print(run.name)", "print(f'{a}' if b else '')"]
    plain = ['console.print("Nothing is left.")', "console.print(table)", "say(f'{a}')", "typer.echo(printable(a))"]
    assert raw_prints("\n".join(raw + plain)) == [1, 2, 3, 4, 5, 6]
