"""Pause, resume, cancel and retry: nobody's word is overwritten, nothing is sent without need, nothing is lost."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from scripts.command_line import main
from scripts.command_line.batches.retry import send_all
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.batches.conftest import RUN, Somebody, share
from tests.unit.command_line.conftest import answer, refusal
from tests.unit.command_line.fleet.conftest import Fleet
from userdata.batch.documents import Batch, Control
from userdata.contract.layout import RunKeys
from userdata.contract.work import Release, UnitOfBatch, WholeRun
from userdata.fleet import breakers

HOUR = timedelta(hours=1)


def refused(somebody: Somebody, words: str, *arguments: str) -> None:
    with pytest.raises(CommandError, match=words):
        somebody.sd(*arguments)


def next_of(said: str) -> list[str]:
    return [line.strip() for line in said.partition("What next:\n")[2].splitlines()]


def test_a_pause_says_what_goes_on_and_a_resume_sends_each_part(somebody: Somebody) -> None:
    batch = somebody.ask()
    somebody.put(somebody.keys.batch, batch.model_copy(update={"parts": [*batch.parts, *batch.parts]}))
    somebody.put(somebody.keys.machine("i-1"), share())
    said = somebody.sd("pause", RUN)
    assert somebody.state() == "paused"
    assert Control.from_json(somebody.read(somebody.keys.control)).by.endswith(":user/moto")
    assert "At work: 1 machine at $0.8 an hour. Each goes" in said
    assert next_of(said) == [f"sd resume {RUN}", f"sd results {RUN}", f"sd cancel {RUN}"]
    assert somebody.waits() == []
    somebody.put(somebody.keys.machine("i-1"), share(ago=HOUR))
    somebody.account.ec2.stop_instances(InstanceIds=[somebody.account.instance_id])
    said = somebody.sd("resume", RUN)
    assert somebody.state() == "go"
    assert somebody.waits() == [Release(RUN, 0), Release(RUN, 1)]
    assert somebody.account.state() == "running"
    assert "goes on with the 6 units that are missing" in said
    assert "g6.xlarge" in said, "the table of ways shows what it costs"
    assert next_of(said) == [f"sd watch {RUN}", f"sd pause {RUN}", f"sd cancel {RUN}"]


def test_a_closed_fleet_is_opened_after_a_yes_and_gets_machines(somebody: Somebody) -> None:
    fleet = Fleet(somebody.account)
    somebody.account.session.client("cloudformation").delete_stack(StackName="SdOnEc2")
    fleet.deploy(4)
    somebody.ask()
    somebody.account.put(breakers.CLOSED, b'{"reason": "Three machines in a row failed."}')
    refused(somebody, "No machine was started, because the question got no answer", "resume", RUN)
    assert fleet.group["DesiredCapacity"] == 0
    somebody.control("paused")
    said = somebody.sd("resume", RUN, "--yes")
    assert "The fleet was told to have" in said
    assert fleet.group["DesiredCapacity"] > 0
    assert breakers.CLOSED not in somebody.objects()
    wants = {**fleet.group, "DesiredCapacity": 3, "Instances": []}
    event = "before-call.autoscaling.DescribeAutoScalingGroups"
    somebody.account.session.events.register_first(event, answer({"AutoScalingGroups": [wants]}))
    told = (
        "The fleet still waits for 3 machines, which would boot for nothing where no other batch needs them: `sd stop`"
    )
    assert told in somebody.sd("pause", RUN)


def test_a_batch_at_work_is_not_sent_again(somebody: Somebody) -> None:
    somebody.ask()
    somebody.put(somebody.keys.machine("i-1"), share())
    assert "is at work already" in somebody.sd("resume", RUN)
    assert somebody.waits() == []


def test_a_capped_batch_goes_on_with_a_higher_limit_alone(somebody: Somebody) -> None:
    somebody.ask(max_usd=0.25)
    somebody.draw(0)
    somebody.put(somebody.keys.machine("i-1"), share(ago=HOUR, units=1, images=2, usd=0.2))
    somebody.control("capped")
    for words in (["resume", RUN], ["pause", RUN]):
        refused(somebody, rf"limit of \$0.25.*`sd resume {RUN} --max-usd 1.25`", *words)
    for limit in ("0.25", "inf"):
        refused(somebody, r"has cost \$0.20, at most \$0.25 already", "resume", RUN, "--max-usd", limit)
    assert (somebody.state(), somebody.waits()) == ("capped", [])
    somebody.control("paused")
    refused(somebody, r"cost \$0.20.* already, and may cost \$0.25. .* above that, for example 1.25", "resume", RUN)
    refused(somebody, r"has \$0.01 left .* boots alone of 1 g6.xlarge cost \$0.\d+", "resume", RUN, "--max-usd", "0.26")
    assert (somebody.state(), somebody.waits()) == ("paused", []), "no machine would draw for that"
    somebody.sd("resume", RUN, "--max-usd", "3")
    assert Batch.from_json(somebody.read(somebody.keys.batch)).max_usd == 3
    assert (somebody.state(), somebody.waits()) == ("go", [Release(RUN, 0)])


def test_a_cancelled_batch_keeps_what_is_drawn_and_stays_so(somebody: Somebody) -> None:
    somebody.ask()
    somebody.draw(0)
    before = somebody.objects()
    assert "Nothing was cancelled." in somebody.sd("cancel", RUN, typed="n\n")
    refused(somebody, "Nothing was cancelled, because", "cancel", RUN)
    assert somebody.state() == "go"
    said = somebody.sd("cancel", RUN, "--yes")
    assert "2 images are drawn and stay" in said
    assert somebody.objects() == before | {somebody.keys.control}
    for verb in ("pause", "resume", "cancel"):
        refused(somebody, f"is cancelled for good, so there is nothing to {verb}", verb, RUN)
    refused(somebody, "is cancelled, so nothing is tried again", "retry", RUN)


def test_a_batch_that_is_done_and_one_job_are_told_apart(somebody: Somebody) -> None:
    somebody.ask()
    somebody.draw(0, 1, 2)
    refused(somebody, f"is done, so there is nothing to pause: `sd results {RUN}`", "pause", RUN)
    somebody.account.put_run("a-horse-0123456789")
    refused(somebody, "is one job and no batch", "cancel", "a-horse")
    refused(somebody, "There is no run dogs", "retry", "dogs")


@pytest.mark.parametrize(
    ("theirs", "told"), [("cancelled", "is cancelled meanwhile"), ("capped", "is capped meanwhile")]
)
def test_what_somebody_else_wrote_at_the_same_moment_stays(somebody: Somebody, theirs: str, told: str) -> None:
    somebody.ask()
    somebody.control("go")
    at_once(somebody, "before-call.s3.PutObject", lambda: somebody.control(theirs))
    refused(somebody, f"is {theirs} meanwhile", "pause", RUN)
    assert somebody.state() == theirs


def at_once(somebody: Somebody, event: str, act: Callable[[], object]) -> None:
    """Does something just before the next call of that kind."""
    todo = [act]

    def run(**_: Any) -> None:
        if todo:
            todo.pop()()

    somebody.account.session.events.register(event, run)


def test_a_new_part_that_came_meanwhile_is_not_lost_by_a_new_limit(somebody: Somebody) -> None:
    batch = somebody.ask(max_usd=1)
    somebody.control("capped")
    longer = batch.model_copy(update={"parts": [*batch.parts, *batch.parts]})
    at_once(somebody, "before-call.s3.PutObject", lambda: somebody.put(somebody.keys.batch, longer))
    somebody.sd("resume", RUN, "--max-usd", "3")
    found = Batch.from_json(somebody.read(somebody.keys.batch))
    assert (len(found.parts), found.max_usd) == (2, 3)


def test_failed_units_are_sent_again_from_where_they_lie(somebody: Somebody) -> None:
    batch = somebody.ask()
    somebody.draw(0)
    somebody.fail(1, at=100, length=50)
    somebody.fail(2, at=batch.parts[0].bytes, length=10)  # beyond the end
    somebody.account.put(somebody.keys.units_failed + "odd", b"")
    somebody.account.put(somebody.keys.batch_ended, b"{}")
    notes = {somebody.keys.unit_tries(0, 1), somebody.keys.unit_tries(0, 2)}
    for key in notes:
        somebody.account.put(key, b"It has failed twice.")
    unit = UnitOfBatch(RUN, 0, 1, at=100, bytes=50)
    lost = UnitOfBatch(RUN, 0, 2, at=150, bytes=60)
    other = UnitOfBatch("dogs-0123456789", 0, 1, at=0, bytes=9)
    for work in (unit, lost, other, lost):
        send_all(somebody.sqs, somebody.queues["sd-1-batch-dead"], [work.to_body()])
    somebody.account.ec2.stop_instances(InstanceIds=[somebody.account.instance_id])
    said = somebody.sd("retry", RUN)
    assert "Sent 2 units of" in said
    assert "2 documents in" in said
    assert somebody.waits() == [unit, lost]
    assert somebody.keys.unit_failed(0, 1) not in somebody.objects()
    assert somebody.keys.unit_failed(0, 2) in somebody.objects(), "nobody has read what it says"
    assert not {somebody.keys.batch_ended, *notes} & somebody.objects()
    assert somebody.account.state() == "running"
    counted = somebody.sqs.get_queue_attributes(QueueUrl=somebody.queues["sd-1-batch-dead"], AttributeNames=["All"])
    hidden = int(counted["Attributes"]["ApproximateNumberOfMessagesNotVisible"])
    assert hidden == 1, "the other run's comes back by itself"


def test_a_failure_stays_told_until_its_message_is_sent(somebody: Somebody) -> None:
    somebody.ask()
    somebody.fail(1)
    somebody.account.session.events.register_first("before-call.sqs.SendMessageBatch", refusal("AccessDenied"))
    refused(somebody, "Could not send messages", "retry", RUN)
    assert somebody.keys.unit_failed(0, 1) in somebody.objects()


def test_without_failures_nothing_is_sent_or_started(somebody: Somebody) -> None:
    somebody.ask()
    somebody.account.ec2.stop_instances(InstanceIds=[somebody.account.instance_id])
    assert "Nothing of" in somebody.sd("retry", RUN)
    assert (somebody.waits(), somebody.account.state()) == ([], "stopped")


@pytest.mark.parametrize("kind", ["interactive", "batch"])
def test_a_whole_run_goes_back_to_the_queue_that_it_came_from(somebody: Somebody, kind: str) -> None:
    run = WholeRun("a-horse-0123456789")
    somebody.account.put_run(run.run_id, phase="failed")
    note = RunKeys(run.run_id).tries
    somebody.account.put(note, b"It has failed twice.")
    send_all(somebody.sqs, somebody.queues[f"sd-1-{kind}-dead"], [run.to_body()])
    assert "Sent 1 message of" in somebody.sd("retry", "a-horse")
    assert somebody.waits(f"sd-1-{kind}") == [run]
    assert somebody.waits(f"sd-1-{kind}-dead") == []
    assert note not in somebody.objects()


def test_messages_that_sqs_refuses_alone_are_sent_again() -> None:
    class Sqs:
        """Refuses the last message of each request."""

        def __init__(self) -> None:
            self.sent: list[str] = []

        def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
            *taken, last = Entries
            self.sent += [one["MessageBody"] for one in taken]
            return {"Failed": [{"Id": last["Id"]}]}

    sqs: Any = Sqs()
    with pytest.raises(CommandError, match="SQS refused 1 of 3 messages"):
        send_all(sqs, "https://sqs/1/q", ["a", "b", "c"])
    assert sqs.sent == ["a", "b"]


def test_ctrl_c_half_way_says_which_command_does_the_rest(
    somebody: Somebody, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    somebody.ask()
    somebody.control("paused")
    at_once(somebody, "before-call.sqs.SendMessage", lambda: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(sys, "argv", ["sd", "resume", RUN])
    with pytest.raises(SystemExit) as exited:
        main.main()
    assert exited.value.code == 130
    assert f"Interrupted half-way: `sd watch {RUN}` shows what was done" in capsys.readouterr().err
    somebody.sd("resume", RUN)
    assert somebody.waits() == [Release(RUN, 0)]


def test_a_stack_without_a_queue_is_told_what_adds_it(somebody: Somebody, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody.ask()
    somebody.account.outputs.clear()
    somebody.account.session.client("cloudformation").delete_stack(StackName="SdOnEc2")
    somebody.account.deploy()
    refused(somebody, "has no queue. `sd deploy` adds it", "resume", RUN)
