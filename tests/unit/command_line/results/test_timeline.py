"""The bars of `sd status --timeline`: what is in the bucket, in order, to scale."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from scripts.command_line.results.timeline import BAR, read_timelines, show_timelines
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.conftest import Account

RUN = "a-horse-0123456789"


def phase(name: str, at: str, seconds: float) -> dict[str, Any]:
    return {"phase": name, "started_at": f"2026-01-01T00:{at}.000Z", "seconds": seconds}


def put_boot(account: Account, at: str, phases: list[dict[str, Any]]) -> None:
    started_at = f"2026-01-01T00:{at}.000Z"
    record = {"schema": 1, "instance_id": account.instance_id, "started_at": started_at, "phases": phases}
    account.put(f"boots/{account.instance_id}/{started_at}.json", json.dumps({**record, "error": None}).encode())


def put_report(account: Account, phases: list[dict[str, Any]]) -> None:
    account.put(f"runs/{RUN}/report.json", json.dumps({"schema": 1, "phases": phases}).encode())


@pytest.fixture
def booted(account: Account) -> Account:
    account.deploy()
    first = [phase("boot", "00:00", 2), phase("environment", "00:02", 90)]
    second = [phase("boot", "10:00", 1), phase("worker", "10:01", 1)]
    put_boot(account, "10:00", second)
    put_boot(account, "00:00", first)
    put_report(account, [*second, phase("model", "10:02", 4), phase("generating", "10:06", 4)])
    return account


def test_each_boot_is_followed_by_the_work_that_it_started(booted: Account) -> None:
    first, second = read_timelines(booted.s3, booted.bucket, instance_id=booted.instance_id, run_id=RUN)
    assert [row[:3] for row in first.rows()] == [("boot", 0, 2), ("environment", 2, 90)]
    assert [row[:3] for row in second.rows()] == [
        ("boot", 0, 1),
        ("worker", 1, 1),
        ("model", 2, 4),
        ("generating", 6, 4),
    ]
    assert (first.seconds, second.seconds) == (92, 10)


def test_bars_are_to_scale_and_never_longer_than_the_line(booted: Account) -> None:
    _, second = read_timelines(booted.s3, booted.bucket, instance_id=booted.instance_id, run_id=RUN)
    bars = [bar for *_, bar in second.rows()]
    assert bars[2] == " " * (BAR // 5) + "█" * (2 * BAR // 5)
    assert max(len(bar) for bar in bars) == BAR


def test_phases_that_overlap_are_drawn_one_above_the_other(account: Account) -> None:
    account.deploy()
    put_boot(account, "00:00", [phase("environment", "00:00", 40), phase("weights", "00:10", 20)])
    (timeline,) = read_timelines(account.s3, account.bucket, instance_id=account.instance_id, run_id=RUN)
    assert timeline.seconds == 40
    assert [bar for *_, bar in timeline.rows()] == ["█" * BAR, " " * (BAR // 4) + "█" * (BAR // 2)]


def test_a_phase_of_no_time_is_seen_and_a_broken_record_is_passed_over(account: Account) -> None:
    account.deploy()
    put_boot(account, "00:00", [phase("driver", "00:00", 0)])
    account.put(f"boots/{account.instance_id}/2026-01-02.json", b"{")
    (timeline,) = read_timelines(account.s3, account.bucket, instance_id=account.instance_id, run_id=RUN)
    assert timeline.rows() == [("driver", 0.0, 0.0, "█")]


def test_it_is_shown_as_a_table(booted: Account) -> None:
    console = Console(file=io.StringIO(), width=100)
    show_timelines(read_timelines(booted.s3, booted.bucket, instance_id=booted.instance_id, run_id=RUN), console)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "Boot of 2026-01-01 00:00:00 UTC, 92.0 s" in shown
    assert "generating" in shown


def test_without_a_boot_it_says_so(account: Account) -> None:
    account.deploy()
    found = read_timelines(account.s3, account.bucket, instance_id=account.instance_id, run_id=RUN)
    with pytest.raises(CommandError, match="No boot"):
        show_timelines(found, Console())
