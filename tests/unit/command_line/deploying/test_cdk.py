"""`sd` starts the CDK CLI of its own checkout, from whatever shell."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from scripts.command_line.deploying.cdk import cdk
from scripts.command_line.terminal.command_error import CommandError


def test_the_cli_is_found_without_an_activated_environment(
    session: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert cdk(session, ["--version"]) == 0


def test_without_the_cli_the_command_that_installs_it_is_named(session: boto3.Session, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=f"Install it: {tmp_path}/scripts/setup"):
        cdk(session, ["--version"], root=tmp_path)
