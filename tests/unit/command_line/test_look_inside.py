"""`sd logs` shows what a worker has said; `sd connect` becomes what opens a shell, and keeps the key safe."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.command_line.main import app
from scripts.command_line.results import log
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.conftest import Account, run_of
from userdata.batch.documents import Batch, Part
from userdata.contract.layout import RunKeys

RUN = "cats-0123456789"


def sd(*words: str) -> str:
    outcome = CliRunner().invoke(app, [*words, "--region", "us-east-1"])
    if isinstance(outcome.exception, CommandError):
        raise outcome.exception
    return outcome.stdout


def test_the_log_is_shown_without_what_a_terminal_would_obey(account: Account) -> None:
    account.deploy()
    account.put_run(RUN)
    account.put(RunKeys(RUN).log, "one\nan \x1b]0;escape\ntwö\n".encode())
    assert sd("logs", "cats") == "one\nan \\x1b]0;escape\ntwö\n"


def test_a_run_that_nobody_has_begun_has_no_log_and_a_batch_never(account: Account) -> None:
    account.deploy()
    with pytest.raises(CommandError, match=f"Run {run_of()} has no log yet.*sd status --timeline"):
        sd("logs")
    parts, asked_at = [Part(images=1, units=1, bytes=1)], datetime.now(UTC)
    batch = Batch(run_id="many-0123456789", title="many", by="me", asked_at=asked_at, model="tiny", parts=parts)
    account.put(RunKeys("many-0123456789").batch, batch.to_json())
    with pytest.raises(CommandError, match="many-0123456789 is a batch"):
        sd("logs", "many")


def test_a_log_is_followed_to_the_end_of_its_run_in_whole_lines(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.make_bucket("bucket")
    shown: list[str] = []
    grows = iter([b"one\nt", b"one\ntwo\n", b"one\ntwo\nthree\n"])
    monkeypatch.setattr(log, "PIECE_BYTES", 5)
    monkeypatch.setattr(log, "POLL_SECONDS", 0)

    def goes_on() -> bool:
        if lines := next(grows, None):
            account.put_into("bucket", RunKeys(RUN).log, lines)
        return lines is not None

    log.show_log(account.s3, "bucket", RUN, shown.append, goes_on=goes_on)
    assert "\n".join(shown).split() == ["one", "two", "three"]


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """What the command has become, where every program is installed."""
    found: list[list[str]] = []
    for name in ("aws", "session-manager-plugin", "ssh"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "execvp", lambda _name, words: found.append(words))
    return found


def test_connect_opens_a_shell_without_a_port(
    account: Account, became: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    account.deploy()
    sd("connect")
    assert became == [
        ["aws", "ssm", "start-session", "--target", account.instance_id, "--region", "us-east-1"],
    ]
    (tmp_path / "session-manager-plugin").unlink()
    with pytest.raises(CommandError, match=r"needs the program session-manager-plugin.*https://docs\.aws"):
        sd("connect")
    account.ec2.stop_instances(InstanceIds=[account.instance_id])
    with pytest.raises(CommandError, match="is stopped, so it has no shell. `sd start`"):
        sd("connect")


def test_connect_by_ssh_writes_the_key_for_its_owner_alone(
    account: Account, became: list[list[str]], tmp_path: Path
) -> None:
    pair = account.ec2.create_key_pair(KeyName="key")
    (launched,) = account.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, KeyName="key")["Instances"]
    account.instance_id = launched["InstanceId"]
    name, secret = f"/ec2/keypair/{pair['KeyPairId']}", "-----BEGIN KEY-----\n"
    account.session.client("ssm").put_parameter(Name=name, Value=secret, Type="SecureString")
    account.deploy(SshCidr="203.0.113.7/32")
    folder = tmp_path / "keys"
    before = os.umask(0)
    try:
        for _again in range(2):
            sd("connect", "--ssh", "--to", str(folder))
    finally:
        os.umask(before)
    file = folder / f"sd-on-ec2-{pair['KeyPairId']}.pem"
    assert (file.read_text(), file.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (
        "-----BEGIN KEY-----\n", 0o600, 0o700,
    )  # fmt: skip
    assert became[1][:3] == ["ssh", "-i", str(file)]
    assert became[1][-1].startswith("ec2-user@")
    file.write_text("mine")
    with pytest.raises(CommandError, match="is not the stack's key"):
        sd("connect", "--ssh", "--to", str(folder))
    assert file.read_text() == "mine"


def test_connect_by_ssh_says_that_no_port_is_open(account: Account, became: list[list[str]]) -> None:
    account.deploy()
    with pytest.raises(CommandError, match="No port of the instance is open"):
        sd("connect", "--ssh")
    assert not became
