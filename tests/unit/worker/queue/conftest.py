from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import boto3
import pytest

from userdata.contract.layout import RunKeys
from userdata.contract.patience import Patience
from userdata.contract.work import QUEUES, dead_letters_of, queue_name, write_message
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
SMALL: dict[str, Any] = {"model": "tiny", "H": 64, "W": 64, "ddim_steps": 2, "n_iter": 1, "n_samples": 1}


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

    def send(self, kind: str, run_id: str) -> None:
        self.send_body(kind, write_message(run_id))

    def send_body(self, kind: str, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.urls[queue_name(PREFIX, kind)], MessageBody=body)

    def serve(
        self,
        *,
        idle_seconds: float = 0,
        queues: Queues | None = None,
        loaded: Loaded | None = None,
        uses: Sequence[Use] = (),
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
