from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from scripts.command_line.terminal.plain_text import cell, print_plain

OBEYED = "\x1b\x07\x00\r\x9b\u202e\u2066\u200b\u200d\u2028\u2029\ufeff\u00ad\U000e0041"
HOSTILE = st.text(st.sampled_from(f"a [/]\\{OBEYED}\ud800\u0301é🐎bold"), min_size=1, max_size=30)


def shown(what: str | Table) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=500, color_system=None)
    if isinstance(what, str):
        print_plain(what, console)
    else:
        console.print(what)
    return file.getvalue()


@given(HOSTILE)
def test_the_terminal_is_told_nothing_but_letters(text: str) -> None:
    table = Table(box=None)
    table.add_row(cell(text))
    for output in (shown(text), shown(table)):
        output.encode()
        assert not set(output) & set(OBEYED)


def test_nothing_is_lost_and_nothing_is_markup() -> None:
    assert shown("[bold]a[/bold] \\[b] é🐎\n\tlast") == "[bold]a[/bold] \\[b] é🐎\n        last\n"
    assert shown("a :horse: of 12:30") == "a :horse: of 12:30\n"
    assert shown("red \x1b[31m, title \x1b]0;x\x07") == "red \\x1b[31m, title \\x1b]0;x\\x07\n"
