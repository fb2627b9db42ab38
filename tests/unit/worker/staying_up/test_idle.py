"""A machine costs money by the minute, and yet must not be taken from somebody who uses it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from userdata.contract.hold import Hold
from userdata.contract.layout import hold_key
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.staying_up import idle
from userdata.worker.staying_up.gpu_use import busiest_gpu
from userdata.worker.staying_up.idle import Holding, uses_of_this_machine, wait_until_idle
from userdata.worker.staying_up.sessions import open_sessions

INSTANCE = "i-0123456789abcdef0"


class Clock:
    """Time that passes only while somebody waits; `stop` is the event that the waiting is done on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.stop = threading.Event()
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(self.stop, "wait", self._wait)

    def _wait(self, seconds: float) -> bool:
        assert seconds > 0
        self.now += seconds
        assert self.now < 100_000, "waited for ever"
        return self.stop.is_set()

    def waited(self, uses: list[Callable[[], str | None]], *, idle_seconds: float) -> float:
        began = self.now
        wait_until_idle(self.stop, uses, idle_seconds=idle_seconds, poll_seconds=5)
        return self.now - began


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_nobody_uses_it(clock: Clock) -> None:
    assert clock.waited([lambda: None], idle_seconds=120) == 120
    assert clock.waited([lambda: None], idle_seconds=0) == 0


def test_the_idle_time_begins_when_the_last_use_ends(clock: Clock) -> None:
    until = clock.now + 300

    def used() -> str | None:
        return "an open session" if clock.now < until else None

    assert 300 + 120 - 5 <= clock.waited([lambda: None, used], idle_seconds=120) <= 300 + 120
    until = clock.now + 300
    assert 300 <= clock.waited([used], idle_seconds=0) <= 305


def test_a_use_that_comes_and_goes_begins_it_anew(clock: Clock) -> None:
    began = clock.now
    used = {60: True, 170: True}

    def now_and_then() -> str | None:
        return "the GPU is busy" if used.get(int(clock.now - began)) else None

    used |= dict.fromkeys(range(165, 171), True)
    waited = clock.waited([now_and_then], idle_seconds=120)
    assert 165 + 120 <= waited <= 170 + 120


def test_a_shutdown_ends_the_waiting_at_once(clock: Clock) -> None:
    clock.stop.set()
    assert clock.waited([lambda: "an open session"], idle_seconds=120) == 0


def test_who_uses_it_is_told_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    until = clock.now + 60
    clock.waited([lambda: "an open session" if clock.now < until else None], idle_seconds=10)
    assert [record.getMessage() for record in caplog.records] == ["In use: an open session", "In use: no longer"]


@pytest.fixture
def held(bucket: Bucket) -> Iterator[Callable[[timedelta], None]]:
    def hold(length: timedelta) -> None:
        bucket.put(hold_key(INSTANCE), Hold(INSTANCE, datetime.now(UTC) + length).to_json())

    yield hold


def test_a_hold_counts_until_it_is_over_or_taken_away(
    bucket: Bucket, held: Callable[[timedelta], None], clock: Clock
) -> None:
    holding = Holding(bucket, INSTANCE, every_seconds=15)
    assert holding() is None
    held(timedelta(hours=2))
    assert holding() is None  # it is not asked for at every look
    clock.now += 15
    found = holding()
    assert found is not None
    assert found.startswith("held until ")
    held(timedelta(seconds=-1))
    clock.now += 15
    assert holding() is None


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"[]", b"{}", json.dumps({"instance_id": INSTANCE, "until": "2099-01-01T00:00:00"}).encode()],
)
def test_what_is_no_hold_holds_nothing(bucket: Bucket, document: bytes) -> None:
    bucket.put(hold_key(INSTANCE), document)
    assert Holding(bucket, INSTANCE)() is None


def test_a_bucket_that_cannot_be_read_holds_nothing(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    bucket.name = "no-such-bucket"
    assert Holding(bucket, INSTANCE)() is None
    assert "cannot be read" in caplog.text


def test_below_a_prefix_the_host_s_sessions_are_nobody_s(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(idle, "open_sessions", lambda: ["sshd: me@pts/0"])
    monkeypatch.setattr(idle, "busiest_gpu", lambda: 99.0)
    monkeypatch.setenv("SD_PREFIX", str(tmp_path))
    assert [use() for use in uses_of_this_machine(bucket, INSTANCE)] == [None]
    monkeypatch.setenv("SD_PREFIX", "")
    assert [use() for use in uses_of_this_machine(bucket, INSTANCE)] == [
        "an open session (sshd: me@pts/0)",
        "the GPU is busy (99 %)",
        None,
    ]


def test_sessions_are_told_by_the_processes_that_serve_them(tmp_path: Path) -> None:
    processes = {
        1: b"/usr/lib/systemd/systemd\0--system\0",
        70: b"sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups\0",
        71: b"sshd: ec2-user [priv]\0",
        72: b"sshd: ec2-user@pts/0\0",
        73: b"sshd-session: ec2-user@notty\0",
        80: b"/usr/bin/ssm-agent-worker\0",
        81: b"/usr/bin/ssm-session-worker\0me-0123\0",
        90: b"",
        91: b"vim\0sshd: me@here\0",
    }
    for pid, command in processes.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cmdline").write_bytes(command)
    (tmp_path / "99").mkdir()  # it has just ended
    (tmp_path / "self").mkdir()
    assert open_sessions(tmp_path) == [
        "sshd-session: ec2-user@notty",
        "sshd: ec2-user@pts/0",
        "ssm-session-worker me-0123",
    ]


@pytest.mark.parametrize(
    ("script", "percent"),
    [("echo 3; echo 87", 87.0), ("echo '[N/A]'", 0.0), ("exit 9", 0.0), (None, 0.0)],
)
def test_the_busiest_gpu_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, percent: float
) -> None:
    if script is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/bash\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin" if script else str(tmp_path))
    assert busiest_gpu() == percent
