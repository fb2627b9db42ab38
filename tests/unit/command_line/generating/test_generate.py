"""A prompt on the machine that stands: nothing is written before all is checked, and nothing sent is ever lost."""

from __future__ import annotations

import re
import shlex
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from moto.backends import get_backend
from typer.main import get_command

from scripts.command_line.account import instance
from scripts.command_line.account.deployment import need_deployment
from scripts.command_line.account.instance import InstanceState, start_stopped
from scripts.command_line.generating import generate
from scripts.command_line.main import app
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.conftest import REGION, refusal
from tests.unit.command_line.generating.conftest import Person
from userdata.contract.hold import Hold
from userdata.contract.layout import RunKeys, hold_key
from userdata.job.job import Job

PROMPT = "a tree, a horse"
RUN = Job(prompt=PROMPT).name


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(instance, "STOPPING_POLL_SECONDS", 0.0)


def minutes_held(person: Person) -> float:
    hold = person.hold()
    assert hold
    return (hold.until - datetime.now(UTC)).total_seconds() / 60


def test_a_prompt_becomes_a_job_a_message_and_images(person: Person) -> None:
    person.deploy()
    person.generate(Prompt=PROMPT)
    assert person.sent() == [RUN]
    assert person.job(RUN) == Job(prompt=PROMPT)
    assert len(list((person.folder / RUN).rglob("samples/*.png"))) == 6
    assert "g6.xlarge costs $0.8048 an hour while it is up" in person.said
    assert 9 < minutes_held(person) <= 10
    assert re.search(r"stays up until \d\d:\d\d UTC for your next prompt\. That costs about \$0\.13\.", person.said)


def test_what_comes_next_is_printed_and_can_be_typed(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person.deploy()
    monkeypatch.setattr(sys, "argv", ["sd", "generate", "--stack=Two"])
    person.generate(Prompt="-- it's", Samples="1", Iterations="3", SkipGrid="on")
    commands = person.said.partition("What next:\n")[2].splitlines()
    assert [shlex.split(line)[:2] for line in commands] == [["sd", "generate"], ["sd", "results"], ["sd", "hold"]]
    words = shlex.split(commands[0])
    context = get_command(app).commands["generate"].make_context("generate", words[2:])  # type: ignore[attr-defined]
    assert (context.params["prompt"], context.params["seed"], context.params["n_iter"]) == ("-- it's", "45", "3")
    assert (context.params["skip_grid"], context.params["stack"]) == (True, "Two")
    assert all("--stack Two" in command for command in commands)


def test_a_run_that_is_there_is_downloaded_and_not_sent(person: Person) -> None:
    person.deploy()
    person.account.put_run(RUN, images=6)
    person.account.ec2.terminate_instances(InstanceIds=[person.account.instance_id])
    person.generate(Prompt=PROMPT)
    assert f"Run {RUN} is there already, so nothing is drawn. For other images: --run-id NAME." in person.said
    assert len(list((person.folder / RUN).rglob("samples/*.png"))) == 6
    assert person.sent() == []
    assert person.hold() is None


def test_a_run_whose_images_were_deleted_is_drawn_again(person: Person) -> None:
    person.deploy()
    person.account.put_run(RUN, images=2)
    person.account.s3.delete_object(Bucket=person.account.bucket, Key=RunKeys(RUN).image(1))
    person.generate(Prompt=PROMPT)
    assert person.sent() == [RUN]


def test_a_job_that_is_there_stays_as_it_is_and_its_message_is_sent_again(person: Person) -> None:
    person.deploy()
    person.account.put(RunKeys(RUN).job, b"the first writer's")
    person.works = lambda run_id: person.account.put_run(run_id)
    person.generate(Prompt=PROMPT)
    assert person.read(RunKeys(RUN).job) == b"the first writer's"
    assert person.sent() == [RUN]


@pytest.mark.parametrize("phase", ["failed", "capped", "done"])
def test_an_earlier_end_is_not_taken_for_that_of_this_request(person: Person, phase: str) -> None:
    """The instance has run since before both, so that its start does not tell them apart."""
    person.deploy()
    person.account.put_run(RUN, phase=phase)
    if phase == "done":
        person.account.s3.delete_object(Bucket=person.account.bucket, Key=RunKeys(RUN).image(1))
    looks = iter(range(10))
    person.works = lambda run_id: person.account.session.events.register(
        "after-call.ec2.DescribeInstances", lambda **_: person.draw(RUN) if next(looks) == 3 else None
    )
    person.generate(Prompt=PROMPT)
    assert next(looks) > 3, "the watcher has looked before the worker began"
    assert person.sent() == [RUN]
    assert list((person.folder / RUN).rglob("samples/*.png"))


def test_a_failure_of_this_request_is_told(person: Person) -> None:
    person.deploy()
    person.works = lambda run_id: person.account.put_run(run_id, phase="failed")
    with pytest.raises(CommandError, match=f"Run {RUN} failed at weights: The disk is full"):
        person.generate(Prompt=PROMPT)


def test_a_stopped_instance_is_started(person: Person) -> None:
    person.deploy()
    person.account.ec2.stop_instances(InstanceIds=[person.account.instance_id])
    person.generate(Prompt=PROMPT)
    assert person.account.state() == "running"
    assert f"Started {person.account.instance_id} for run {RUN}" in person.said
    assert minutes_held(person) > 9


def test_no_capacity_leaves_the_run_in_the_queue(person: Person) -> None:
    person.deploy()
    person.account.ec2.stop_instances(InstanceIds=[person.account.instance_id])
    person.works = lambda run_id: None
    person.account.session.events.register("before-call.ec2.StartInstances", refusal("InsufficientInstanceCapacity"))
    with pytest.raises(CommandError, match=r"`sd start --types .* waits in the queue until then"):
        person.generate(Prompt=PROMPT)
    assert person.sent() == [RUN]


def test_an_instance_that_stops_between_the_message_and_its_end_is_started_again(
    person: Person,
) -> None:
    """Its worker had asked for the last time when the message came."""
    person.deploy()
    person.works = lambda run_id: person.account.ec2.stop_instances(InstanceIds=[person.account.instance_id]) and None
    started: list[str] = []

    def draw_once_started(**_: object) -> None:
        started.append(RUN)
        person.draw(RUN)

    person.account.session.events.register("after-call.ec2.StartInstances", draw_once_started)
    person.generate(Prompt=PROMPT)
    assert started == [RUN]
    assert person.sent() == [RUN], "the message is still there for the next boot"


def test_an_instance_that_another_command_s_deploy_stops_is_not_started_before_that_is_over(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.deploy()
    (stack,) = get_backend("cloudformation")["123456789012"][REGION].stacks.values()

    def deploy_another(run_id: str) -> None:
        stack.status = "UPDATE_IN_PROGRESS"
        person.account.ec2.stop_instances(InstanceIds=[person.account.instance_id])

    def start(**_: object) -> None:
        started.append(stack.status)
        person.draw(RUN)

    started: list[str] = []
    person.works = deploy_another
    monkeypatch.setattr(time, "sleep", lambda _: setattr(stack, "status", "UPDATE_COMPLETE"))
    person.account.session.events.register("after-call.ec2.StartInstances", start)
    person.generate(Prompt=PROMPT)
    assert started == ["UPDATE_COMPLETE"]
    assert "SdOnEc2 is UPDATE_IN_PROGRESS, by another command: waiting for its end." in person.said


def test_an_instance_that_stops_again_and_again_is_left_alone(person: Person) -> None:
    person.deploy()

    def stop(*_: object, **__: object) -> None:
        person.account.ec2.stop_instances(InstanceIds=[person.account.instance_id])

    person.works = stop
    person.account.session.events.register("after-call.s3.PutObject", stop)
    with pytest.raises(CommandError, match=r"has stopped 3 times before run .* waits in the queue for a week"):
        person.generate(Prompt=PROMPT)


def test_a_spot_instance_that_is_taken_away_is_told(person: Person) -> None:
    person.deploy()
    person.works = lambda run_id: (
        person.account.ec2.terminate_instances(InstanceIds=[person.account.instance_id]) and None
    )
    with pytest.raises(CommandError, match="`sd deploy` makes a new one"):
        person.generate(Prompt=PROMPT)


def test_a_stack_that_another_command_deletes_in_mid_run_is_told(person: Person) -> None:
    person.deploy()

    def tear_down(run_id: str) -> None:
        person.account.ec2.terminate_instances(InstanceIds=[person.account.instance_id])
        person.account.session.client("cloudformation").delete_stack(StackName="SdOnEc2")

    person.works = tear_down
    with pytest.raises(CommandError, match=f"Another command has deleted the stack SdOnEc2, so run {RUN} was interrup"):
        person.generate(Prompt=PROMPT)


def test_who_finds_the_instance_stopping_waits_and_finds_it_started_by_another(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.deploy()
    states = iter(["stopping", "stopping", "running"])
    monkeypatch.setattr(instance, "instance_state", lambda *_: InstanceState(next(states), None))
    start = start_stopped(person.account.session, need_deployment(person.account.session, "SdOnEc2"), RUN)
    assert (start.started, next(states, None)) == (False, None)


def test_a_longer_hold_is_never_shortened(person: Person) -> None:
    person.deploy()
    until = datetime.now(UTC) + timedelta(hours=2)
    key = hold_key(person.account.instance_id)
    person.account.put(key, Hold(person.account.instance_id, until).to_json())
    person.generate(Prompt=PROMPT)
    assert 119 < minutes_held(person) <= 120
    assert f"stays up until {until:%H:%M} UTC" in person.said
    assert "about $1.61" in person.said


@pytest.mark.parametrize(("hold", "parameters"), [("off", {}), ("10m", {"AfterRun": "keep"})])
def test_nothing_is_held_that_need_not_be(person: Person, hold: str, parameters: dict[str, str]) -> None:
    person.deploy(**parameters)
    person.generate(hold=hold, Prompt=PROMPT)
    assert person.hold() is None
    assert "stays up" not in person.said
    assert "sd stop" in person.said


def test_a_capped_run_is_downloaded_and_told(person: Person) -> None:
    person.deploy()
    person.works = lambda run_id: person.account.put_run(run_id, phase="capped")
    with pytest.raises(CommandError, match="is not complete"):
        person.generate(Prompt=PROMPT)
    assert list((person.folder / RUN).rglob("samples/*.png"))
