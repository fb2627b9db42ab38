from __future__ import annotations

import io
import subprocess

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from scripts.command_line.terminal.plain_text import cell, in_shell, print_plain, printable
from scripts.command_line.terminal.typed_options import with_typed

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


def test_a_command_with_signs_that_are_spelled_out_is_about_the_same_text_when_it_is_copied() -> None:
    words = ["printf", "%s|", "it's", "👩\u200d🎨 a\\b 'c'", "\x1b[31mred", "two\nlines", ""]
    command = in_shell(words)
    assert printable(command) == command
    printed = subprocess.run(["bash", "-c", command], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}).stdout
    assert printed.decode() == "".join(f"{word}|" for word in words[2:])
    more = with_typed(in_shell(["sd", "generate", "--seed=43", "--", words[3]]), ["sd", "--stack", "Two"])
    assert more == f"sd generate --seed=43 --stack Two -- {in_shell([words[3]])}"
