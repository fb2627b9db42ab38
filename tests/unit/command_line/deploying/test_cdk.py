"""`sd` starts the CDK CLI of its own checkout, from whatever shell, as whom and where it asks AWS itself."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import psutil
import pytest

from scripts.command_line.deploying.cdk import cdk, cdk_deploy, cdk_environment
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.session import choose_session
from scripts.interruption.scratch_folder import scratch_folder

ROOT = Path(__file__).parents[4]

ROLE = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>role</SessionToken>
<Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
SETTINGS = """
[default]
region = eu-west-1
[profile b]
region = eu-west-2
[profile role]
role_arn = arn:aws:iam::111122223333:role/r
source_profile = b
[profile process]
region = eu-west-3
credential_process = echo '{"Version": 1, "AccessKeyId": "ASIAPROCESS", "SecretAccessKey": "s", "SessionToken": "p"}'
"""
KEYS = """
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = s
[b]
aws_access_key_id = AKIAB
aws_secret_access_key = s
"""
IN_THE_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "s"}
ENDED = {"AWS_SESSION_TOKEN": "another", "AWS_CREDENTIAL_EXPIRATION": "2999-01-01T00:00:00Z"}
# The person's environment, the options of `sd`, and who asks where: the key, its token, the region.
WHO: dict[str, tuple[dict[str, str], tuple[str | None, str | None], tuple[str, str, str]]] = {
    "keys and a profile": ({**IN_THE_ENVIRONMENT, "AWS_PROFILE": "b"}, (None, None), ("AKIAENV", "", "eu-west-2")),
    "--profile before keys": ({**IN_THE_ENVIRONMENT, **ENDED}, (None, "b"), ("AKIAB", "", "eu-west-2")),
    "--profile before AWS_PROFILE": ({"AWS_PROFILE": "b"}, (None, "default"), ("AKIADEFAULT", "", "eu-west-1")),
    "two profiles": (
        {"AWS_PROFILE": "b", "AWS_DEFAULT_PROFILE": "process"}, (None, None), ("ASIAPROCESS", "p", "eu-west-3"),
    ),
    "the CDK's own settings": (
        {"CDK_PROFILE": "b", "CDK_REGION": "eu-west-2", "AMAZON_REGION": "eu-west-2", "AMAZON_SESSION_TOKEN": "x"},
        (None, None), ("AKIADEFAULT", "", "eu-west-1"),
    ),
    "a role in a region": ({"AWS_REGION": "eu-west-3"}, ("eu-west-2", "role"), ("ASIAROLE", "role", "eu-west-2")),
}  # fmt: skip


class Questions(http.server.BaseHTTPRequestHandler):
    """AWS's API, as far as it gives a role; it keeps who asks who they are, and where."""

    asked: list[tuple[str, str, str]]

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["content-length"])).decode()
        signed = re.search(r"Credential=(\w+)/\d+/([\w-]+)/sts/", self.headers["authorization"])
        assert signed
        if "AssumeRole" in text:
            self.send_response(200)
        else:
            self.asked.append((signed[1], self.headers["x-amz-security-token"] or "", signed[2]))
            self.send_response(403)
        self.send_header("content-length", str(len(ROLE)))
        self.end_headers()
        self.wfile.write(ROLE.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[tuple[str, str, str]]]:
    """Who asks AWS who they are, and where, from a home with profiles."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", *IN_THE_ENVIRONMENT, *ENDED):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config").write_text(SETTINGS)
    (tmp_path / "credentials").write_text(KEYS)
    (tmp_path / ".cdk.json").write_text(json.dumps({"profile": "process", "region": "eu-west-3"}))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CDK_HOME", str(tmp_path / "cdk"))
    questions: list[tuple[str, str, str]] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Q", (Questions,), {"asked": questions}))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    yield questions
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("case", WHO)
def test_the_cdk_acts_as_whom_and_where_sd_looks(
    asked: list[tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    environment, (region, profile), who = WHO[case]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    session = choose_session(region, profile)
    client = session.client("sts")
    with pytest.raises(client.exceptions.ClientError):
        client.get_caller_identity()
    # It asks AWS before it starts the app, which is none here.
    cdk(session, ["list", "--app", "true"])
    assert asked
    assert set(asked) == {who}


def test_the_profile_s_other_settings_stay(asked: object) -> None:
    """`ca_bundle`, endpoints, proxies: the CLI reads them from the profile that AWS_PROFILE names."""
    environment = cdk_environment(choose_session(None, "b"), {"AWS_PROFILE": "process", "HTTPS_PROXY": "proxy"})
    assert (environment["AWS_PROFILE"], environment["HTTPS_PROXY"]) == ("b", "proxy")


@pytest.mark.parametrize(("context", "stack"), [({}, "SdOnEc2"), ({"stack": "Two", "az": "us-east-1b"}, "Two")])
def test_the_stack_is_named_to_the_cli_and_to_the_app(
    session: boto3.Session, monkeypatch: pytest.MonkeyPatch, context: dict[str, str], stack: str
) -> None:
    """Otherwise CDK_CONTEXT or a file of the person's would choose another than `sd` has looked at."""
    calls: list[list[str]] = []
    monkeypatch.setattr("scripts.command_line.deploying.cdk.cdk", lambda _, words: calls.append(words))
    cdk_deploy(session, {"Prompt": "a"}, context)
    [words] = calls
    assert words[:2] == ["deploy", stack]
    assert f"stack={stack}" in words


def test_the_cli_is_found_without_an_activated_environment(
    session: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert cdk(session, ["--version"]) == 0


def test_without_the_cli_the_command_that_installs_it_is_named(session: boto3.Session, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=f"Install it: {tmp_path}/scripts/setup"):
        cdk(session, ["--version"], root=tmp_path)


def fake_cli(root: Path, script: str) -> Path:
    cli = root / "node_modules/.bin/cdk"
    cli.parent.mkdir(parents=True)
    cli.write_text(f"#!/bin/sh\n{script}\n")
    cli.chmod(0o755)
    return root


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_and_no_folder_outlives_the_command(tmp_path: Path, number: int) -> None:
    """What the CLI has started neither, as when Ctrl-C comes while the CDK runs the app."""
    fake_cli(tmp_path, f'sh -c "echo \\$\\$ >{tmp_path}/app; exec sleep 600" & echo $$ >{tmp_path}/cli; sleep 600')
    calls = (
        "import sys, boto3, pathlib; from scripts.command_line.deploying.cdk import cdk\n"
        "from scripts.interruption.signals import raise_interrupted, Interrupted; raise_interrupted()\n"
        "try: cdk(boto3.Session(region_name='us-east-1'), ['deploy'], root=pathlib.Path(sys.argv[1]))\n"
        "except Interrupted as interrupted: sys.exit(interrupted.exit_status)"
    )
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_CONFIG_FILE": "/dev/null"}
    with subprocess.Popen(
        [sys.executable, "-c", calls, str(tmp_path)],
        cwd=ROOT, env={**os.environ, **keys, "TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE, text=True,
    ) as command:  # fmt: skip
        until(lambda: all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in ("app", "cli")))
        pids = [int((tmp_path / name).read_text()) for name in ("app", "cli")]
        assert list(tmp_path.glob("sd-cdk-*"))
        command.send_signal(number)
        try:
            _, errors = command.communicate(timeout=30)
        finally:
            command.kill()  # else a command that passes over the signal would be waited for without end
    assert (command.returncode, errors) == (-9 if number == signal.SIGKILL else 128 + number, "")
    until(lambda: not any(map(lives, pids)))
    with scratch_folder("sd-cdk-", tmp_path):  # what a SIGKILL leaves goes with the next call
        assert len(list(tmp_path.glob("sd-cdk-*"))) == 1


def lives(pid: int) -> bool:
    """Asked once, because the process may end between two questions."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_deploys_at_once_have_change_sets_of_their_own(
    session: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the second one's takes the place of the first one's, and whoever comes first deploys the other's job."""
    calls: list[list[str]] = []
    monkeypatch.setattr("scripts.command_line.deploying.cdk.cdk", lambda _, words: calls.append(words))
    for _ in range(2):
        cdk_deploy(session, {}, {})
    one, two = (words[words.index("--change-set-name") + 1] for words in calls)
    assert one != two
