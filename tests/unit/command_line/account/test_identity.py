"""A command says in which account, region and stack it is about to act, before it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.command_line.account.identity import profile_option
from scripts.command_line.main import app
from scripts.command_line.terminal.session import choose_session
from tests.unit.command_line.conftest import REGION, Account

LINE = f"Account 123456789012 (keys in the environment), region {REGION}, stack Other."


@pytest.mark.parametrize(
    "words", ["deploy horse --steps 0", "start", "stop", "hold 2h", "teardown --audit-only"], ids=str
)
def test_a_command_that_changes_something_says_where_first(
    account: Account, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", REGION)
    said = CliRunner().invoke(app, [*words.split(), "--stack", "Other"])
    assert said.stderr.splitlines()[0] == LINE
    assert "test" not in said.stderr, "no secrets"


def test_a_request_for_a_quota_says_where_first(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", REGION)
    said = CliRunner().invoke(app, ["quota", "request"])
    assert said.stderr.splitlines()[0] == LINE.replace(", stack Other", "")


def test_the_next_command_takes_the_profile_unless_the_keys_are_of_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = "aws_access_key_id = A\naws_secret_access_key = s\n"
    (tmp_path / "config").write_text(f"[profile 'a b']\n{keys}[default]\n{keys}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    assert profile_option(choose_session(None, "a b")) == " --profile 'a b'"
    assert profile_option(choose_session(None, None)) == ""
    monkeypatch.setenv("AWS_PROFILE", "a b")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "E")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert profile_option(choose_session(None, None)) == ""
