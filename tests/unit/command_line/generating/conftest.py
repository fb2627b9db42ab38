"""A stack with a queue, and a worker that draws at once what a message points at."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from scripts.command_line.generating.generate import generate
from tests.unit.command_line.conftest import Account
from userdata.contract.hold import Hold
from userdata.contract.layout import RunKeys, hold_key
from userdata.contract.work import read_message
from userdata.job.job import Job
from userdata.job.job_document import read_job


class Person:
    """Somebody at a terminal in `folder`, with a stack that stands, and what this person sees in `said`."""

    def __init__(self, account: Account, folder: Path) -> None:
        self.account = account
        self.folder = folder
        self.said = ""
        self.sqs: Any = account.session.client("sqs")
        self.queue = self.sqs.create_queue(QueueName="sd-1-interactive")["QueueUrl"]
        account.outputs["InteractiveQueue"] = self.queue
        self.works: Callable[[str], None] = self.draw

    def deploy(self, **parameters: str) -> None:
        self.account.deploy(**parameters)

    def generate(self, hold: str = "10m", **given: str) -> None:
        console = Console(file=io.StringIO(), width=200)
        try:
            generate(
                self.account.session, stack="SdOnEc2", given=given, hold=hold, fetch_to=self.folder, console=console
            )
        finally:
            self.said = console.file.getvalue()  # type: ignore[attr-defined]

    def sent(self) -> list[str]:
        """The runs that the messages in the queue point at, each once for each message."""
        found = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [read_message(one["Body"]) for one in found.get("Messages", [])]

    def job(self, run_id: str) -> Job:
        return read_job(self.read(RunKeys(run_id).job))

    def hold(self) -> Hold | None:
        key = hold_key(self.account.instance_id)
        return Hold.from_json(self.read(key)) if key in self.objects() else None

    def read(self, key: str) -> bytes:
        return self.account.s3.get_object(Bucket=self.account.bucket, Key=key)["Body"].read()

    def objects(self) -> set[str]:
        found = self.account.s3.list_objects_v2(Bucket=self.account.bucket).get("Contents", [])
        return {one["Key"] for one in found}

    def draw(self, run_id: str) -> None:
        """As a warm worker does: the job is there when its message comes."""
        self.account.put_run(run_id, images=self.job(run_id).images_total, started_at="2026-01-02")


@pytest.fixture
def person(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Person:
    made = Person(account, tmp_path / "results")
    monkeypatch.chdir(tmp_path)

    def work(http_response: Any, **_: Any) -> None:
        (body,) = [json.loads(request)["MessageBody"] for request in requests]
        requests.clear()
        made.works(read_message(body))

    requests: list[bytes] = []
    account.session.events.register("before-send.sqs.SendMessage", lambda request, **_: requests.append(request.body))
    account.session.events.register("after-call.sqs.SendMessage", work)
    return made
