"""The walk goes on after a step that fails, where that makes sense; and a person is asked before anything is done."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.terminal.command_error import CommandError
from scripts.proof import main, run_looks, walk
from scripts.proof.account import Account, Look
from scripts.proof.place import STACK, Place
from scripts.proof.rows import Report, Row
from scripts.proof.seen import Seen
from scripts.proof.step import Expected, Step
from scripts.proof.steps import STEPS
from scripts.proof.terminal import Finished, Interrupted, Meter, Terminal
from scripts.proof.walk import Walk
from userdata.contract.status import Status

PLACE = Place("us-east-1", "g4dn.xlarge", None, None, "us-east-1b")


def says(words: str) -> Callable[[Seen], str]:
    def look(_: Seen) -> str:
        return words

    return look


def refused(_: Seen) -> str:
    raise CommandError("Could not look: AWS says no.")


def step(name: str, *rows: Expected, **more: Any) -> Step:
    return Step(name, "does something", rows, **{"until": None, **more})


FIRST = step("first", prepares="install")
DOCTOR = {"checks": [{"name": "quota", "state": "problem", "found": "0 vCPUs", "blocks": True}]}


class Still(Account):
    """An account whose stack is in one state."""

    def __init__(self, state: str) -> None:
        super().__init__(SimpleNamespace(region_name="us-east-1", client=lambda *_, **__: None))  # type: ignore[arg-type]
        self.state = state

    def look(self) -> Look:
        return Look(None if self.state == "gone" else Deployment(STACK, self.state, {}, {}), {})

    def stack_resource(self, kind: str) -> str:
        return "the-alarm"

    def billed(self) -> list[str]:
        return []


class Stopped(Still):
    """One whose instance is stopped."""

    def look(self) -> Look:
        deployment = Deployment(STACK, self.state, {}, {"InstanceId": "i-1"})
        return Look(deployment, {"i-1": {"State": {"Name": "stopped"}}})


class Answers(Terminal):
    """Answers commands by how they begin; everything else succeeds."""

    def __init__(self, answers: Mapping[str, Finished]) -> None:
        super().__init__(Meter({}), list, every=0)
        self.answers = answers
        self.typed: list[str] = []

    def run(self, *words: str) -> Finished:
        self.typed.append(" ".join(words))
        answer = next((one for start, one in self.answers.items() if self.typed[-1].startswith(start)), None)
        return answer or Finished(self.typed[-1], 0, "")


@pytest.fixture
def take(tmp_path: Path) -> Callable[..., tuple[list[tuple[str, ...]], list[str]]]:
    def take(
        *steps: Step,
        account: type[Still] = Still,
        state: str = "UPDATE_COMPLETE",
        emulated: bool = False,
        **answers: Finished,
    ) -> tuple[list[tuple[str, ...]], list[str]]:
        """The rows, each as step, what, seen, same; and what was typed."""
        terminal = Answers({start.replace("_", " "): answer for start, answer in answers.items()})
        report = Report(tmp_path, "", [])
        Walk(account(state), PLACE, terminal, report, emulated=emulated).take(steps)
        assert (tmp_path / "proof.md").exists()
        return [(row.step, row.what, row.seen, row.same) for row in report.rows], terminal.typed

    return take


Take = Callable[..., tuple[list[tuple[str, ...]], list[str]]]


def test_what_differs_what_nobody_knew_and_what_only_aws_can_tell(take: Take) -> None:
    rows = (
        Expected("one", says("a"), "a"),
        Expected("two", says("b"), "a"),
        Expected("three", says("c")),
        Expected("four", refused, "a"),
        Expected("an hour of {type}", says("d"), "a", only_aws=True),
    )
    seen, _ = take(step("all", *rows), emulated=True)
    assert seen == [
        ("all", "one", "a", "yes"),
        ("all", "two", "b", "no"),
        ("all", "three", "c", "-"),
        ("all", "four", "Could not look: AWS says no.", "no"),
        ("all", "an hour of g4dn.xlarge", "only AWS can tell", "-"),
    ]
    seen, _ = take(step("all", *rows))
    assert seen[-1] == ("all", "an hour of g4dn.xlarge", "d", "no")


def test_after_a_deploy_that_fails_the_next_one_is_tried_and_a_bug_report_is_written(take: Take) -> None:
    failing = step("other", Expected("one", says("a"), "a"), context={"az": "us-east-1b"})
    rows, typed = take(
        failing,
        step("next", Expected("one", says("a"), "a")),
        step("what hangs on it", needs=("other",)),
        **{"cdk deploy -c stack=SdProof-7c1f20 -c az": Finished("", 1, "sd: no capacity")},
    )
    assert rows == [
        ("other", "`cdk deploy`", "sd: no capacity", "no"),
        ("next", "one", "a", "yes"),
        ("what hangs on it", "the step", "not tried: it needs the step other", "-"),
    ]
    assert [one.split(" --to")[0] for one in typed if one.startswith("sd report")] == [
        f"sd report --prompts --stack {STACK}"
    ]


@pytest.mark.parametrize(
    ("of", "state", "why"),
    [
        (step("next"), "UPDATE_ROLLBACK_FAILED", "the stack is UPDATE_ROLLBACK_FAILED"),
        (step("next"), "ROLLBACK_COMPLETE", "the stack is ROLLBACK_COMPLETE"),
        (step("next"), "gone", "there is no stack"),
        (step("type", context={"az": "{other_type}"}), "CREATE_COMPLETE", "us-east-1 has no other type for it"),
        (step("spot", checked=True), "CREATE_COMPLETE", "quota: 0 vCPUs"),
    ],
)
def test_what_cannot_go_well_is_not_tried(take: Take, of: Step, state: str, why: str) -> None:
    rows, typed = take(of, state=state, sd_doctor=Finished("", 1, f"setup: done\n{json.dumps(DOCTOR)}\n"))
    assert rows == [(of.name, "the step", f"not tried: {why}", "-")]
    assert not [one for one in typed if one.startswith("cdk")]


def test_a_stack_in_any_state_can_be_destroyed(take: Take) -> None:
    destroy = step("cdk destroy", Expected("one", says("a"), "a"), command=("cdk", "destroy"))
    assert take(destroy, state="UPDATE_ROLLBACK_FAILED")[0] == [("cdk destroy", "one", "a", "yes")]


def test_the_first_deploy_needs_no_stack_and_takes_a_failed_one(take: Take) -> None:
    for state in ("gone", "ROLLBACK_COMPLETE"):
        assert take(FIRST, state=state)[1][0].startswith("cdk deploy")


@pytest.mark.parametrize("answer", ["", "no\n", "yesterday\n"])
def test_anything_but_yes_does_nothing(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    with pytest.raises(CommandError, match=r"^Nothing was done. Answer yes, or add --yes.$"):
        main._ask("Go on?", main._parser().parse_args([]))


def test_it_says_beforehand_where_what_how_long_and_for_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    text = main._announced(PLACE, list(STEPS), "123456789012")
    assert text.startswith("In account 123456789012, us-east-1, with g4dn.xlarge:\n1. first boot: ")
    assert " minutes and costs about $0." in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_a_second_interrupt_says_what_is_there_and_how_to_remove_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise Interrupted(2)

    monkeypatch.setattr(main, "remove", interrupted)
    assert not main._remove_all(Still("UPDATE_IN_PROGRESS"), Answers({}))
    assert capsys.readouterr().err == (
        f"The stack {STACK} in us-east-1 may be there still, with its instance and its bucket. Remove it: "
        "./scripts/test --aws --remove\n"
    )


def test_the_steps_that_an_interrupt_leaves_out_are_counted_as_not_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[str] = []
    terminal: Any = SimpleNamespace(tell=told.append, so_far=lambda: "soon")
    report = Report(tmp_path, "", [])

    def take(steps: list[Step]) -> None:
        report.rows.append(Row(steps[0].name, "its run", "done", "done", "yes"))
        raise Interrupted(2)

    walking: Any = SimpleNamespace(take=take)
    monkeypatch.setattr(main, "_remove_all", lambda *_: True)
    assert main._walk(walking, list(STEPS), Still("gone"), terminal, report) == 130
    assert f"{len(STEPS) - 1} of the steps were not tried" in told[-1]


def test_an_instance_that_is_still_called_stopped_has_not_ended_its_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """EC2's answers lag behind a start: only an instance that stays off has ended without a status."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda _: now.__setitem__(0, now[0] + 5))
    monkeypatch.setattr(walk, "deployed_run_id", lambda _: "a-run")
    monkeypatch.setattr(walk, "read_status", lambda *_: Status("a-run", "i-1", "done", 1, 1) if now[0] > 40 else None)
    report = Report(tmp_path, "", [])
    with_run = step("again", Expected("its run", run_looks.run, "done, 1 of 1"), until="run over")
    Walk(Stopped("UPDATE_COMPLETE"), PLACE, Answers({}), report, emulated=True).take([with_run])
    assert [(row.seen, row.same) for row in report.rows] == [("done, 1 of 1", "yes")]


def test_an_instance_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch, take: Take) -> None:
    monkeypatch.setattr(walk, "deployed_run_id", lambda _: "a-run")
    rows, _ = take(
        step("again", until="run over"), account=Stopped, sd_start=Finished("", 1, "sd: AWS has no such instance.")
    )
    assert rows == [("again", "the step", "sd: AWS has no such instance.", "no")]
