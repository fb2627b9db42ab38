"""A question that nobody can answer ends in a sentence."""

from __future__ import annotations

import io
import sys

import pytest
import typer
from rich.console import Console

from scripts.command_line.ending.teardown import teardown
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.question import ask
from tests.unit.command_line.conftest import Account


@pytest.mark.parametrize("standard_input", [None, io.StringIO()])
def test_a_question_that_nobody_can_answer_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, standard_input: io.StringIO | None
) -> None:
    monkeypatch.setattr(sys, "stdin", standard_input)
    with pytest.raises(CommandError, match="Nothing was done, because the question got no answer.*--yes") as refusal:
        ask("Do it?", otherwise="Nothing was done")
    assert refusal.value.exit_status == 2


def test_a_no_deletes_no_stack_whose_queues_hold_runs(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = account.session.client("sqs").create_queue(QueueName="sd-1-batch")["QueueUrl"]
    account.outputs["BatchQueue"] = queue
    account.session.client("sqs").send_message(QueueUrl=queue, MessageBody="a run")
    account.deploy()
    deleted: list[str] = []
    asked: list[str] = []
    monkeypatch.setattr(typer, "confirm", lambda question, **_: asked.append(question))
    with pytest.raises(CommandError, match="Nothing was deleted: SdOnEc2 is as it was"):
        teardown(
            account.session, stack="SdOnEc2", yes=False, audit_only=False, console=Console(file=io.StringIO()),
            destroy=lambda session, stack: deleted.append(stack),
        )  # fmt: skip
    assert deleted == []
    assert "1 run or unit in the queue will not be drawn to the end, because the queues are deleted. Delete" in asked[0]
