"""The version has one place, and each release its entry and its fixtures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.command_line import main
from userdata.contract.version import VERSION

ROOT = Path(__file__).parents[3]


def test_the_top_of_the_changes_is_the_version_that_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["sd", "--version"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert not ended.value.code
    printed = capsys.readouterr().out
    commit = r"(, commit [0-9a-f]+ of [0-9-]+(, \d+ changed files)?)?\n"
    assert re.fullmatch(rf"sd-on-ec2 {re.escape(VERSION)}{commit}", printed)
    assert entries()[0][0] == VERSION


def test_each_release_has_its_date_and_is_kept_for_the_tests_of_updates() -> None:
    numbers = [tuple(map(int, version.split("."))) for version, _ in entries()]
    assert numbers == sorted(set(numbers), reverse=True)
    for version, date in entries():
        if date == "unreleased":
            assert version == VERSION, "only the version at hand can be unreleased"
        else:
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", date)
            assert (ROOT / f"tests/upgrades/{version}.tar.xz").exists(), "python -m tests.upgrades.keep"


def entries() -> list[tuple[str, str]]:
    """Each version of the changes with its date, the latest first."""
    return re.findall(r"^## (\S+) \((.*)\)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
