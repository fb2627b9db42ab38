"""The plan knows what the CDK will read in the person's files, in the CDK's order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.command_line.account import plan
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.written_context import written_context


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout, which is the person's home, too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(plan, "written_context", lambda: written_context(tmp_path))
    return tmp_path


def test_what_is_nearer_goes_first(folder: Path) -> None:
    assert written_context(folder) == {}
    (folder / ".cdk.json").write_text(json.dumps({"profile": "b", "context": {"spot": True, "az": "us-east-1a"}}))
    (folder / "cdk.context.json").write_text(json.dumps({"az": "us-east-1b", "stack": "Two", "zones": 2}))
    (folder / "cdk.json").write_text(json.dumps({"app": "x", "context": {"stack": "Three", "@aws/flag": ["a", "b"]}}))
    expected = {"spot": "true", "az": "us-east-1b", "stack": "Three", "zones": "2"}
    assert written_context(folder) == {**expected, "@aws/flag": "a,b"}
    assert plan.parse_context([], "SdOnEc2") == expected, "the flags are none of our settings"
    typed = plan.parse_context(["az=us-east-1c", "spot="], "Four")
    assert typed == {**expected, "az": "us-east-1c", "spot": "", "stack": "Four"}


def test_a_file_that_is_none_is_named(folder: Path) -> None:
    (folder / "cdk.json").write_text("{")
    with pytest.raises(CommandError, match=f"{folder}/cdk.json cannot be read.*Mend it or move it away"):
        written_context(folder)
