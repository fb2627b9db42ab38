"""What comes from outside reaches the terminal by `say`, `print_plain` and `cell`, which let nothing of it act."""

from __future__ import annotations

import ast
from pathlib import Path

ROOMS = Path(__file__).parents[4] / "scripts/command_line"
RAW = ("echo", "secho", "print")
# The way itself; and rooms whose prints go another way still.
EXCEPT = ("terminal/plain_text.py", "results", "batches", "batching", "fleet", "batch_co")


def raw_prints(source: str) -> list[int]:
    """The lines that print a text which is put together there, or a result, without one of those ways.

    A name may stand for a table, whose cells are texts of their own.
    """
    return [
        call.lineno
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and _name(call.func) in RAW and any(map(_is_text, call.args))
    ]


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_text(argument: ast.expr) -> bool:
    if isinstance(argument, ast.Call):
        return _name(argument.func) not in ("printable", "cell", "Text", "Group", "Panel", "Padding")
    return isinstance(argument, ast.JoinedStr | ast.BinOp | ast.Attribute)


def test_no_text_is_printed_raw() -> None:
    files = {str(file.relative_to(ROOMS)): file.read_text("utf-8") for file in ROOMS.rglob("*.py")}
    found = {name: raw_prints(text) for name, text in files.items() if not name.startswith(EXCEPT)}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_a_raw_print_is_found() -> None:
    raw = ['typer.echo(f"{a}")', 'console.print("a" + b)', "print(run.name)", "typer.echo(told(a))"]
    plain = ['console.print("Nothing is left.")', "console.print(table)", "say(f'{a}')", "typer.echo(printable(a))"]
    assert raw_prints("\n".join(raw + plain)) == [1, 2, 3, 4]
