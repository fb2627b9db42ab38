"""`sd` on a terminal that knows few characters."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from typer.testing import CliRunner

from scripts.command_line import main


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", b"\\xd7 \\u6f22"), ("latin-1", b"\xd7 \\u6f22")])
def test_what_a_terminal_has_no_character_for_is_spelled_out(
    monkeypatch: pytest.MonkeyPatch, encoding: str, shown: bytes
) -> None:
    printed = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(printed, encoding=encoding, write_through=True))

    def app(**_: object) -> None:
        Console().print("× 漢", highlight=False)

    monkeypatch.setattr(main, "app", app)
    main.main()
    assert printed.getvalue() == shown + b"\n"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (LookupError("a\nb\x1b[31m"), "sd: A fault of this program: LookupError: a b\\x1b[31m (test_main.py:"),
        (OSError(28, "No space left"), "sd: This computer refuses: [Errno 28] No space left (test_main.py:"),
    ],
)
def test_an_error_that_nobody_has_thought_of_is_a_sentence_with_its_lines(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def app(**_: object) -> None:
        raise error

    monkeypatch.setattr(main, "app", app)
    monkeypatch.setattr("sys.argv", ["sd", "status", "--stack", "Other"])
    with pytest.raises(SystemExit) as exited:
        main.main()
    assert exited.value.code == 1
    [told] = capsys.readouterr().err.splitlines()
    assert told.startswith(says)
    assert "`sd status --stack Other`" in told


@pytest.mark.parametrize("words", [[], ["deploy"], ["quota"], ["quota", "request"]])
def test_a_short_question_for_help_is_one(words: list[str]) -> None:
    short, long = (CliRunner().invoke(main.app, [*words, option]) for option in ("-h", "--help"))
    assert (short.exit_code, short.stdout) == (0, long.stdout)
    assert "  -h, --help  " in short.stdout
