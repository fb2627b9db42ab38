"""The studio as a person starts and ends it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from scripts.command_line.main import main
from scripts.command_line.terminal.command_error import CommandError
from scripts.studio.serve import listening

ROOT = Path(__file__).parents[3]
ENDS_WITHIN = 1.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_a_second_in_a_sentence_also_while_a_page_listens(
    tmp_path: Path, number: signal.Signals
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nobody = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "1",
    }
    studio = subprocess.Popen(
        [sys.executable, "-P", str(ROOT / "scripts/studio/__main__.py"), "--no-open", "--port", "0"],
        cwd=tmp_path,
        env={**environment, **nobody, "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert studio.stdout and studio.stderr
    link = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", studio.stdout.readline())
    assert link, studio.stderr.read()
    with httpx2.Client(follow_redirects=True, timeout=60) as client:  # its own patience is 5 seconds
        page = client.get(link[0])
        assert "no AWS credentials were found. Log in with `aws configure` or `aws sso login`." in page.text
        (connection,) = [one for one in psutil.Process(studio.pid).net_connections() if one.status == "LISTEN"]
        assert connection.laddr.ip == "127.0.0.1"
        with client.stream("GET", str(page.url.join("/events"))) as stream:
            assert "event: machine" in next(text for text in stream.iter_lines() if "event" in text)
            began = time.monotonic()
            studio.send_signal(number)
            said = studio.communicate(timeout=30)[1]
    assert time.monotonic() - began < ENDS_WITHIN * 5, "of which other tests beside this one take the larger part"
    assert studio.returncode == 128 + number
    assert "sd: The studio has ended. What was sent goes on without it" in said
    assert "Traceback" not in said


def test_a_port_that_is_taken_is_another_one_unless_it_was_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(CommandError, match=r"cannot be listened on: .*--port 0 takes any"):
            listening(taken.getsockname()[1])
    with pytest.raises(CommandError, match="--port 0 takes any"):
        listening(99999999)


def test_the_command_becomes_the_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, words: became.append(words))
    for words in (["--stack", "Two", "--no-open"], ["--local", "--port", "9000"]):
        monkeypatch.setattr("sys.argv", ["sd", "studio", *words])
        ended: Any = pytest.raises(SystemExit)
        with ended:
            main()
    monkeypatch.setattr("sys.argv", ["sd", "studio", "--local", "--region", "eu-west-1"])
    misused: Any = pytest.raises(SystemExit, match="2")
    with misused:
        main()
    page, local = became
    assert page[2].endswith("scripts/studio/__main__.py")
    assert page[3:] == ["--stack=Two", "--no-open"]
    assert local[2:] == [page[2], "--port=9000", "--local"]
