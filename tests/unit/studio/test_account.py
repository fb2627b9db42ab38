"""The account as the studio asks it."""

from __future__ import annotations

import socket
import time

import boto3
import pytest
from botocore.config import Config

from scripts.command_line.terminal.command_error import CommandError
from scripts.studio import account
from scripts.studio.account import Account, look


def test_a_network_that_swallows_everything_is_told_within_the_page_s_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = Config(connect_timeout=0.2, read_timeout=0.2, retries={"total_max_attempts": 1, "mode": "standard"})
    monkeypatch.setattr(account, "PATIENCE", quick)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(CommandError, match="Could not "):
            look(Account(lambda: boto3.Session(region_name="us-east-1"), "SdOnEc2"))
        assert time.monotonic() - began < 20
