"""Somebody at a terminal, with files in a folder and a stack that stands, who gives `sd batch`."""

from __future__ import annotations

import io
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from scripts.command_line.batching import batch as batching
from scripts.command_line.batching.wish import read_wish
from tests.unit.command_line.conftest import Account
from userdata.batch.documents import Batch, Control
from userdata.batch.unit import Unit
from userdata.contract.layout import RunKeys
from userdata.contract.work import Release, read_work

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=ZoneInfo("Europe/Berlin"))


class Person:
    def __init__(self, account: Account) -> None:
        self.account = account
        self.said = ""
        self.folder = Path("results")
        self.sqs: Any = account.session.client("sqs")
        for output, kind in (("InteractiveQueue", "interactive"), ("BatchQueue", "batch")):
            account.outputs[output] = self.sqs.create_queue(QueueName=f"sd-1-{kind}")["QueueUrl"]

    def batch(self, file: str, content: str | bytes | None = None, **options: Any) -> str:
        """Gives the command, with a yes unless told otherwise, for a file of that content. Returns the run's name."""
        if content is not None:
            Path(file).write_bytes(content if isinstance(content, bytes) else content.encode())
        given = options.pop("given", {})
        now = options.pop("now", NOW)
        usual: dict[str, Any] = {
            "form": None,
            "grid": [],
            "add": None,
            "sample": None,
            "max_usd": None,
            "machines": None,
            "at": None,
            "yes": True,
        }
        wish = read_wish(file, given=given, fetch_to=self.folder, now=now, **{**usual, **options})
        console = Console(file=io.StringIO(), width=300)
        try:
            batching.batch(self.account.session, stack="SdOnEc2", wish=wish, given=given, console=console)
        finally:
            self.said = console.file.getvalue()  # type: ignore[attr-defined]
        return str(re.findall(r"sd \w+ ([a-z0-9-]+-[0-9a-f]{10})", self.said)[-1])

    def document(self, run_id: str) -> Batch:
        return Batch.from_json(self.read(RunKeys(run_id).batch))

    def control(self, run_id: str, state: Any) -> None:
        control = Control(state=state, by="me", at=NOW)
        self.account.put(RunKeys(run_id).control, control.to_json())

    def units(self, run_id: str, part: int = 0) -> list[Unit]:
        return [Unit.from_line(line) for line in self.read(RunKeys(run_id).units(part)).splitlines()]

    def images(self, run_id: str, part: int = 0) -> dict[int, dict[str, Any]]:
        """What each image is drawn from, as the worker takes it, by its number in the batch."""
        drawn = {}
        for unit in self.units(run_id, part):
            job, requests = unit.requests()
            for request, image in zip(requests, unit.images, strict=True):
                own = {"seed": request.seed, "prompt": request.prompt, "scale": request.scale, "name": image.name}
                size = {"H": request.H, "W": request.W, "steps": request.ddim_steps, "sampler": request.sampler}
                drawn[request.index] = {**own, **size, "model": job.model, "line": request.line, "job": job}
        return dict(sorted(drawn.items()))

    def sent(self) -> list[Release]:
        found = self.sqs.receive_message(
            QueueUrl=self.account.outputs["BatchQueue"], MaxNumberOfMessages=10, VisibilityTimeout=0
        )
        works = [read_work(one["Body"]) for one in found.get("Messages", [])]
        return [work for work in works if isinstance(work, Release)]

    def read(self, key: str) -> bytes:
        return self.account.s3.get_object(Bucket=self.account.bucket, Key=key)["Body"].read()

    def objects(self) -> set[str]:
        found = self.account.s3.list_objects_v2(Bucket=self.account.bucket).get("Contents", [])
        return {one["Key"] for one in found}


@pytest.fixture
def person(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Person:
    made = Person(account)
    monkeypatch.chdir(tmp_path)
    return made


def as_jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
