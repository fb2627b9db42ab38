from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import boto3
import pytest

from userdata.batch.documents import Batch, Control, Part
from userdata.batch.unit import Unit, UnitImage
from userdata.contract.layout import RunKeys
from userdata.contract.patience import Patience
from userdata.contract.work import BATCH, QUEUES, Release, UnitOfBatch, dead_letters_of, queue_name, write_message
from userdata.job.job import Job
from userdata.job.job_document import write_job
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.loaded.loaded import Loaded
from userdata.worker.process.settings import Settings
from userdata.worker.queue import receiver
from userdata.worker.queue.queues import Queues
from userdata.worker.queue.serve import Serving
from userdata.worker.staying_up.idle import Use

PREFIX = "sd-a-stack"
RUN_ID = "many-0123456789"
SMALL: dict[str, Any] = {"model": "tiny", "H": 64, "W": 64, "ddim_steps": 2, "n_iter": 1, "n_samples": 1}


def units_of(count: int, *, images: int = 2, **given: Any) -> list[Unit]:
    """Units of a batch, each of so many images of its own seeds."""
    return [
        Unit(
            unit=unit,
            job=Job(**{**SMALL, **given}).model_dump(mode="json"),
            images=[
                UnitImage(index=index, given={"seed": index, "prompt": f"a horse {index}"})
                for index in range(unit * images, (unit + 1) * images)
            ],
        )
        for unit in range(count)
    ]


class Work:
    """The queues of an emulated SQS, seen from outside, and the worker that asks them."""

    def __init__(self, bucket: Bucket, settings: Settings, parameters: dict[str, str]) -> None:
        self.bucket = bucket
        self.settings = settings
        self.parameters = parameters
        self.stop = threading.Event()
        self.queues = Queues(PREFIX, patience=Patience(attempts=1))
        self.sqs = boto3.client("sqs")
        self.urls = {}
        for kind in QUEUES:
            for name in (queue_name(PREFIX, kind), dead_letters_of(queue_name(PREFIX, kind))):
                self.urls[name] = self.sqs.create_queue(QueueName=name)["QueueUrl"]

    def put_job(self, run_id: str = "", **given: Any) -> str:
        """Puts a job into the bucket, as a client does; returns the run's name."""
        job = Job(**{**SMALL, **given})
        run_id = run_id or job.name
        self.bucket.put(RunKeys(run_id).job, write_job(job))
        return run_id

    def put_text(self, run_id: str, text: str) -> str:
        """Puts something else in a job's place."""
        self.bucket.put(RunKeys(run_id).job, text.encode())
        return run_id

    def put_batch(
        self, units: Sequence[Unit], run_id: str = RUN_ID, *, part: int = 0, max_usd: float | None = None
    ) -> list[UnitOfBatch]:
        """Puts a batch of one part into the bucket, as a client does; returns what its messages say."""
        lines = [unit.to_line() for unit in units]
        ends = list(itertools.accumulate(map(len, lines)))
        keys = RunKeys(run_id)
        client = boto3.client("s3")
        client.put_object(Bucket=self.bucket.name, Key=keys.units(part), Body=b"".join(lines))
        images = sum(len(unit.images) for unit in units)
        batch = Batch(
            run_id=run_id,
            title="many",
            by="arn:aws:iam::123456789012:user/me",
            asked_at=datetime.now(UTC),
            model="tiny",
            parts=[Part(images=images, units=len(units), bytes=ends[-1])],
            max_usd=max_usd,
        )
        self.bucket.put(keys.batch, batch.to_json())
        return [
            UnitOfBatch(run_id, part, unit.unit, end - len(line), len(line))
            for unit, line, end in zip(units, lines, ends, strict=True)
        ]

    def control(self, state: Literal["go", "paused", "cancelled", "capped"], run_id: str = RUN_ID) -> None:
        """Says whether units may be begun, as a client does."""
        document = Control(state=state, by="arn:aws:iam::123456789012:user/me", at=datetime.now(UTC))
        self.bucket.put(RunKeys(run_id).control, document.to_json())

    def send(self, kind: str, run_id: str) -> None:
        self.send_body(kind, write_message(run_id))

    def send_work(self, *work: UnitOfBatch | Release, kind: str = BATCH) -> None:
        for one in work:
            self.send_body(kind, one.to_body())

    def send_body(self, kind: str, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.urls[queue_name(PREFIX, kind)], MessageBody=body)

    def serve(
        self,
        *,
        idle_seconds: float = 0,
        queues: Queues | None = None,
        loaded: Loaded | None = None,
        uses: Sequence[Use] = (),
        **others: Any,
    ) -> None:
        Serving(
            self.settings,
            self.parameters,
            self.stop,
            queues=queues or self.queues,
            bucket=self.bucket,
            loaded=loaded or Loaded(stays=True),
            uses=uses,
            idle_seconds=idle_seconds,
            **others,
        ).serve()

    def left(self, kind: str) -> tuple[int, int]:
        """The messages that can be received, and those that somebody has received."""
        url = self.urls[queue_name(PREFIX, kind)]
        told = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return int(told["ApproximateNumberOfMessages"]), int(told["ApproximateNumberOfMessagesNotVisible"])

    def dead(self, kind: str) -> list[tuple[str, str]]:
        """The bodies of the dead letters, and their reasons."""
        url = self.urls[dead_letters_of(queue_name(PREFIX, kind))]
        answer = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        return [(one["Body"], one["MessageAttributes"]["reason"]["StringValue"]) for one in answer.get("Messages", [])]


@pytest.fixture
def work(
    bucket: Bucket,
    settings: Settings,
    parameters: Callable[..., dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    kept_loaded_ends_with_the_test: None,
) -> Work:
    monkeypatch.setattr(receiver, "LAST_LOOK_SECONDS", 0)
    return Work(bucket, settings, parameters(UsdPerHour="3.6", MaxSpend="1", Prompt="the deployed one"))
