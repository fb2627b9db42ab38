"""Watching a batch: what machines tell is merged, one odd object costs one object, and it ends when nothing goes on."""

from __future__ import annotations

import io
import json
import re
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from rich.console import Console
from typer.testing import CliRunner

from scripts.command_line import main, watch_command
from scripts.command_line.batches import watch
from scripts.command_line.batches.look import Looker
from scripts.command_line.batches.watch import watch_batch
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.batches.conftest import ARN, RUN, Somebody, share
from tests.unit.command_line.conftest import refusal
from userdata.contract.status import Status
from userdata.contract.work import Release


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LEAST_SECONDS", 0.0)
    looks = iter(range(50))  # a watcher that does not end fails its test
    monkeypatch.setattr(watch, "pause_after", lambda _: 0.0 * next(looks))
    monkeypatch.setattr(watch_command, "POLL_SECONDS", 0.0)


def after_look(somebody: Somebody, number: int, act: Callable[[], object]) -> None:
    """Does something once the machines were listed so many times."""
    looks = 0

    def look(params: dict[str, Any], **_: object) -> None:
        nonlocal looks
        if params["query_string"].get("prefix") == somebody.keys.machines:
            looks += 1
            if looks == number:
                act()

    somebody.account.session.events.register("before-call.s3.ListObjectsV2", look)


def test_what_machines_tell_is_merged(somebody: Somebody) -> None:
    somebody.ask(max_usd=5)
    somebody.draw(0, 1)
    somebody.put(somebody.keys.machine("i-1"), share("i-1", units=1, images=2))
    somebody.put(
        somebody.keys.machine("i-2"), share("i-2", units=1, images=2, usd_at_most=0.5, ago=timedelta(minutes=10))
    )
    found = somebody.watched()
    assert found["schema"] == 1
    assert (found["state"], found["by"]) == ("works", ARN)
    assert found["images"] == {"done": 4, "total": 6}
    assert found["units"] == {"done": 2, "failed": 0, "total": 3}
    assert (found["usd"], found["usd_at_most"], found["usd_per_hour"], found["max_usd"]) == (0.5, 0.75, 0.8, 5)
    assert [(one["instance_id"], one["state"]) for one in found["machines"]] == [("i-1", "works"), ("i-2", "unknown")]
    assert found["images_per_minute"] == 0.8
    assert found["seconds_left"] == 150


def test_one_odd_object_costs_one_object(somebody: Somebody) -> None:
    somebody.ask()
    somebody.draw(0)
    somebody.put(somebody.keys.machine("i-1"), share(units=1, images=2))
    good = somebody.watched()
    odd = {
        somebody.keys.machine("i-2"): b"{",
        somebody.keys.machine("i-3"): b"x" * 300_000,
        somebody.keys.machine("i-4"): share("i-1", usd=99).to_json(),
        somebody.keys.machine("i-5"): b'{"schema": 1, "usd": NaN}',
        somebody.keys.unit_done(7, 1): b"{}",
        somebody.keys.unit_done(0, 3): b"{}",
        somebody.keys.units_done + "0-1.json": b"{}",
        somebody.keys.units_failed + "\x1b[2J.json": b"",
        somebody.keys.unit_failed(0, 0): b"it was drawn after all",
        "fleet/other.json": b"",
    }
    for key, body in odd.items():
        somebody.account.put(key, body)
    found = somebody.watched()
    assert "What 4 machines tell cannot be read, and is not counted." in found["why"]
    same = ("state", "images", "units", "usd", "machines")
    assert {name: found[name] for name in same} == {name: good[name] for name in same}


def test_a_control_that_nobody_can_read_is_a_pause_until_a_resume(somebody: Somebody) -> None:
    somebody.ask()
    somebody.account.put(somebody.keys.control, b"[" * 2000)
    found = somebody.watched()
    assert found["state"] == "paused"
    assert "control.json cannot be read, so that no machine begins a unit." in found["why"]
    somebody.sd("resume", RUN)
    assert somebody.state() == "go"


def test_a_machine_that_told_nothing_new_is_not_read_again(somebody: Somebody) -> None:
    somebody.ask()
    for number in range(3):
        somebody.put(somebody.keys.machine(f"i-{number}"), share(f"i-{number}"))
    read: list[str] = []
    s3 = somebody.account.s3
    s3.meta.events.register("before-call.s3.GetObject", lambda params, **_: read.append(params["url_path"]))
    looker = Looker(s3, somebody.account.bucket, RUN)
    looker.look()
    assert len([path for path in read if "/machines/" in path]) == 3
    read.clear()
    somebody.put(somebody.keys.machine("i-1"), share("i-1", usd=7, usd_at_most=7))
    somebody.account.s3.delete_object(Bucket=somebody.account.bucket, Key=somebody.keys.machine("i-2"))
    found = looker.look()
    assert [path for path in read if "/machines/" in path] == [f"/{somebody.keys.machine('i-1')}"]
    assert found.usd == 7.25


def test_a_machine_that_ec2_has_ended_is_not_at_work(somebody: Somebody) -> None:
    somebody.ask()
    name = somebody.account.instance_id
    somebody.put(somebody.keys.machine(name), share(name))
    assert somebody.watched()["state"] == "works"
    somebody.account.ec2.terminate_instances(InstanceIds=[name])
    found = somebody.watched()
    assert (found["state"], found["machines"][0]["state"]) == ("waits", "terminated")


def test_it_ends_with_the_batch_and_says_what_is_next(somebody: Somebody) -> None:
    somebody.ask()
    somebody.put(somebody.keys.machine("i-1"), share())
    after_look(somebody, 3, lambda: somebody.draw(0, 1, 2))
    said = somebody.sd("watch")
    lines = said.splitlines()
    assert lines[0].startswith(
        f"{RUN}: works: 0 of 6 images (0 of 3 units), 0 images a minute. Cost so far: $0.25; 1 mac"
    )
    assert lines[1].startswith(f"{RUN}: done: 6 of 6 images (3 of 3 units).")
    assert [line.strip() for line in lines[3:]] == [f"sd results {RUN} --zip --csv", "sd results --list", "sd stop"]


@pytest.mark.parametrize("end", ["failed", "capped", "cancelled", "stuck", "closed"])
def test_an_end_that_needs_somebody_is_a_failure_with_the_way_on(somebody: Somebody, end: str) -> None:
    somebody.ask(at=datetime.now(UTC) - timedelta(hours=1))
    somebody.draw(0, 1)
    if end == "failed":
        somebody.fail(2)
    elif end == "closed":
        somebody.account.put("fleet/closed.json", b'{"schema": 1, "reason": "Three boots failed: no disk."}')
    elif end != "stuck":
        somebody.control(end, why="All together have cost $5.")
    said = somebody.sd("watch", RUN[:6], status=1)
    expected = {
        "failed": ["1 failed", "The first unit that failed: It is poisoned.", f"sd retry {RUN}"],
        "capped": ["All together have cost .5", f"sd resume {RUN} --max-usd 1"],
        "cancelled": [f"cancelled at .* by {ARN}", f"sd results {RUN}"],
        "stuck": ["No message in the queue asks for it", f"sd resume {RUN}"],
        "closed": ["The fleet has closed itself: Three boots failed: no disk.", f"sd resume {RUN}"],
    }
    for one in expected[end]:
        assert re.search(one, said), said


def test_a_batch_whose_message_waits_is_not_stuck(somebody: Somebody) -> None:
    somebody.ask(at=datetime.now(UTC) - timedelta(hours=1))
    somebody.sqs.send_message(QueueUrl=somebody.queues["sd-1-batch"], MessageBody=Release(RUN, 0).to_body())
    assert somebody.watched()["state"] == "waits"
    somebody.account.put("fleet/closed.json", b'{"schema": 1, "reason": "Three boots failed: no disk."}')
    assert somebody.watched()["state"] == "waits", "the instance runs, and draws it"
    somebody.account.s3.delete_object(Bucket=somebody.account.bucket, Key="fleet/closed.json")
    somebody.account.ec2.stop_instances(InstanceIds=[somebody.account.instance_id])
    found = somebody.watched()
    assert (found["state"], found["why"][:18]) == ("stuck", "Its messages wait,"), "a message starts no instance"


@pytest.mark.parametrize("command", ["cancel --yes", "pause", "resume --yes"])
def test_a_batch_that_is_planned_for_later_says_when_until_another_command_decides(
    somebody: Somebody, command: str
) -> None:
    """A schedule that stayed would start machines for a batch that is drawn, or not to be drawn, by then."""
    somebody.ask(at=datetime.now(UTC) - (timedelta(hours=1) if command == "pause" else timedelta()))
    scheduler = somebody.account.session.client("scheduler")
    scheduler.create_schedule(
        Name=f"sd-1-{RUN[-10:]}-release",
        ScheduleExpression="at(2030-01-01T02:00:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": "arn:aws:sqs:us-east-1:123456789012:sd-1-batch", "RoleArn": "arn:aws:iam::123456789012:role/r"},
    )
    if command == "resume --yes":
        somebody.account.ec2.stop_instances(InstanceIds=[somebody.account.instance_id])
        somebody.account.put("fleet/closed.json", b'{"schema": 1, "reason": "Three boots failed: no disk."}')
    found = somebody.watched()
    assert (found["state"], found["why"]) == ("waits", "It begins at 2030-01-01 02:00 UTC.")
    verb, *options = command.split()
    said = somebody.sd(verb, RUN, *options)
    assert scheduler.list_schedules()["Schedules"] == []
    assert ("was planned for later: that is taken back" in said) == (verb == "pause")


@pytest.mark.parametrize("service", ["sqs", "scheduler", "ec2"])
def test_who_may_not_ask_the_queue_or_ec2_sees_the_rest(somebody: Somebody, service: str) -> None:
    somebody.ask(at=datetime.now(UTC) - timedelta(hours=1))
    somebody.draw(0)
    somebody.account.session.events.register_first(f"before-call.{service}", refusal("AccessDenied", 403))
    found = somebody.watched()
    assert (found["state"], found["units"]["done"]) == ("waits" if service == "sqs" else "stuck", 1)


def test_a_network_that_comes_back_ends_nothing(somebody: Somebody, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody.ask()
    somebody.draw(0, 1, 2)
    away = iter(range(3))

    def fail(**_: object) -> None:
        if next(away, None) is not None:
            raise EndpointConnectionError(endpoint_url="https://s3.invalid")

    somebody.account.session.events.register_first("before-call.s3.GetObject", fail)
    quiet = Console(quiet=True)
    assert watch_batch(somebody.account.session, somebody.deployment, RUN, quiet).state == "done"
    monkeypatch.setattr(watch, "OUT_OF_REACH_SECONDS", -1)
    away = iter(range(3))
    with pytest.raises(CommandError, match="Could not connect"):
        watch_batch(somebody.account.session, somebody.deployment, RUN, quiet)


def test_a_terminal_shows_machines_with_their_price_within_80_columns(somebody: Somebody) -> None:
    somebody.ask()
    somebody.draw(0, 1, 2)
    for number in range(20):
        name = f"i-0123456789abcdef{number:x}"
        somebody.put(somebody.keys.machine(name), share(name, instance_type="g4dn.12xlarge", life_cycle="on-demand"))
    console = Console(force_terminal=True, width=80, record=True, file=io.StringIO())
    watch_batch(somebody.account.session, somebody.deployment, RUN, console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert len({line for line in lines if "g4dn.12xlarge  on-demand        0.8" in line}) == 12
    assert any("... and 8 more machines." in line for line in lines)


def test_ctrl_c_says_that_it_goes_on(
    somebody: Somebody, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    somebody.ask()
    somebody.put(somebody.keys.machine("i-1"), share())
    after_look(somebody, 2, lambda: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(sys, "argv", ["sd", "watch", "cats", "--region", "us-east-1"])
    with pytest.raises(SystemExit) as exited:
        main.main()
    assert exited.value.code == 130
    told = capsys.readouterr().err
    assert f"Interrupted, but {RUN} goes on, on 1 machine at $0.8 an hour." in told
    assert f"`sd watch {RUN} --region us-east-1` looks again" in told


def test_one_job_is_followed_too(somebody: Somebody) -> None:
    somebody.account.put("runs/a-horse-0123456789/job.json", b"{}")
    assert json.loads(somebody.sd("watch", "a-horse", "--json"))["state"] == "waits"

    def finish() -> None:
        somebody.account.put_run("a-horse-0123456789", images=2)

    somebody.account.session.events.register("after-call.ec2.DescribeInstances", lambda **_: finish())
    assert re.search(r"a-horse-0123456789 .* done +2 of 2", somebody.sd("watch", "a-horse"))


def test_without_a_batch_and_with_an_unknown_name_there_is_a_sentence(somebody: Somebody) -> None:
    somebody.account.put("runs/a-horse-0123456789/status.json", Status("a", "i-1", "done", 1, 1).to_json().encode())
    for words, said in ((["watch"], "There is no batch yet."), (["pause", "dogs"], "There is no run dogs.")):
        with pytest.raises(CommandError, match=said):
            somebody.sd(*words)


def tear_down(somebody: Somebody) -> None:
    somebody.account.ec2.terminate_instances(InstanceIds=[somebody.account.instance_id])
    for url in somebody.queues.values():
        somebody.sqs.delete_queue(QueueUrl=url)
    somebody.account.session.client("cloudformation").delete_stack(StackName="SdOnEc2")


def test_after_a_teardown_all_that_was_not_done_is_interrupted(somebody: Somebody) -> None:
    """A batch, a run that nobody had begun, and one in mid-run: no queue and no machine is left for any of them."""
    somebody.ask()
    somebody.draw(0)
    somebody.put(somebody.keys.machine("i-1"), share(units=1, images=2, ago=timedelta(minutes=10)))
    somebody.account.put("runs/a-horse-0123456789/job.json", b"{}")
    begun = Status("a-tree-0123456789", somebody.account.instance_id, "generating", 1, 3)
    somebody.account.put("runs/a-tree-0123456789/status.json", begun.to_json().encode())
    tear_down(somebody)
    listed = somebody.sd("results", "--list")
    for told in (listed, somebody.sd("watch", RUN, status=1)):
        assert re.search(rf"{RUN} .* interrupted +2 of 6", told), told
    assert re.search(r"a-horse-0123456789 +- +interrupted +-", listed), listed
    assert re.search(r"a-tree-0123456789 .* interrupted +1 of 3", listed), listed
    assert "waits in a queue" not in " ".join(listed.split())
    assert somebody.watched()["state"] == "interrupted"
    assert json.loads(somebody.sd("watch", "a-tree", "--json"))["state"] == "interrupted"
    shown = CliRunner().invoke(main.app, ["status", "--region", "us-east-1"])
    assert shown.stdout.count("interrupted") >= 3, shown.stdout
    assert "There is no stack SdOnEc2" in str(shown.exception)


def test_whoever_watches_a_batch_hears_that_another_command_deletes_its_stack(somebody: Somebody) -> None:
    somebody.ask()
    somebody.draw(0)
    after_look(somebody, 2, lambda: tear_down(somebody))
    said = somebody.sd("watch", RUN, status=1)
    assert "interrupted: 2 of 6 images" in said
    assert "Its stack was deleted, and its queue with it. What is drawn stays in the bucket." in " ".join(said.split())


def test_past_costs_hold_what_machines_told(somebody: Somebody, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody.ask()
    somebody.draw(0, 1)
    for number in range(2):
        somebody.put(somebody.keys.machine(f"i-{number}"), share(f"i-{number}", units=1, images=2))
    monkeypatch.setattr("scripts.command_line.terminal.session.choose_session", lambda *_: somebody.account.session)
    said = somebody.sd("cost", "--actual")
    assert re.search(rf"{RUN} +\S+ \S+ +- +4 +0.5000 +0.1250", said), said
    assert json.loads(somebody.sd("cost", "--actual", "--json"))["usd"] == 0.5


def test_lists_show_batches_and_runs_that_wait(somebody: Somebody) -> None:
    somebody.ask()
    somebody.draw(0)
    somebody.put(somebody.keys.machine("i-1"), share(units=1, images=2))
    somebody.account.put("runs/a-horse-0123456789/job.json", b"{}")
    for words in (["results", "--list"], ["status"]):
        said = somebody.sd(*words)
        assert re.search(rf"{RUN} .* works +2 of 6", said), said
        assert f"{RUN}: 1 of 3 units; $0.25; asked for by {ARN}." in " ".join(said.split())
        assert words == ["status"] or re.search(r"a-horse-0123456789 +- +waits +-", said)
