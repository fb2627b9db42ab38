"""A studio before a stack that stands, asked as a browser asks it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from httpx2 import Response
from PIL import Image
from starlette.testclient import TestClient

from scripts.command_line.account import instance
from scripts.studio.account import Account as Shown
from scripts.studio.app import make_app
from scripts.studio.guard import Keys
from tests.unit.command_line.conftest import Account, account, session
from userdata.contract.hold import Hold
from userdata.contract.layout import RunKeys, hold_key
from userdata.contract.status import Status
from userdata.contract.work import read_message
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.job.job_document import read_job, write_job
from userdata.record.drawn_with import DrawnWith
from userdata.record.image_metadata import describe_image, png_with_record

__all__ = ["account", "session"]
FRAGMENT = {"HX-Request": "true"}
JSON = {"Accept": "application/json"}


class Browser:
    """A person's browser, with the cookie of the studio's first link, and the account behind the studio."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.sqs: Any = account.session.client("sqs")
        self.queue = self.sqs.create_queue(QueueName="sd-1-interactive")["QueueUrl"]
        account.outputs["InteractiveQueue"] = self.queue
        self.opened = 0
        self.forget_session: Callable[[], None] = lambda: None
        self.keys = Keys(8765)
        self.shown = Shown(self.open, "SdOnEc2")
        self.client = TestClient(make_app(self.shown, self.keys), base_url="http://127.0.0.1:8765")
        self.client.get("/", params={"token": self.keys.token}, follow_redirects=False)
        self.client.headers["Origin"] = "http://127.0.0.1:8765"

    def open(self) -> boto3.Session:
        self.opened += 1
        return self.account.session

    def deploy(self, **parameters: str) -> None:
        self.account.deploy(Model="demo", **parameters)

    def get(self, address: str, **headers: str) -> Response:
        return self.client.get(address, headers={**JSON, **headers})

    def post(self, address: str, headers: Any = None, **typed: str) -> Response:
        return self.client.post(address, data=typed, headers=headers or JSON)

    def drop(self, address: str, content: bytes, **typed: str) -> Response:
        return self.client.post(address, data=typed, files={"file": ("a.png", content)}, headers=JSON)

    def sent(self) -> list[str]:
        found = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [read_message(one["Body"]) for one in found.get("Messages", [])]

    def job(self, run_id: str) -> Job:
        return read_job(self.read(RunKeys(run_id).job))

    def read(self, key: str) -> bytes:
        return self.account.s3.get_object(Bucket=self.account.bucket, Key=key)["Body"].read()

    def hold(self) -> Hold | None:
        key = hold_key(self.account.instance_id)
        found = self.account.s3.list_objects_v2(Bucket=self.account.bucket, Prefix=key).get("Contents", [])
        return Hold.from_json(self.read(key)) if found else None

    def draw(self, job: Job, *, upto: int | None = None) -> str:
        """As the worker does: the first `upto` images of the job with their records, and the status."""
        keys, total = RunKeys(job.name, from_image=job.from_image), job.images_total
        self.account.put(keys.job, write_job(job))
        done = total if upto is None else upto
        for index in range(done):
            self.account.put(keys.image(index), png_of(job, index))
        status = Status(job.name, self.account.instance_id, "done" if done == total else "generating", done, total)
        self.account.put(keys.status, status.to_json().encode())
        return job.name


def png_of(job: Job, index: int = 0) -> bytes:
    """An image as the worker saves it."""
    drawn = DrawnWith(indices=[index], execution="eager", precision="float32", device="cpu")
    requests = image_requests(job)
    record = describe_image(
        job, requests, index, run_id=job.name, seconds=0.5, drawn_with=drawn, versions={"diffusers": "1"}
    )
    return png_with_record(Image.new("RGB", requests[index].size, (20 * index % 255, 120, 90)), record)


def plain_png(size: tuple[int, int] = (64, 64)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "white").save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def browser(account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setattr(instance, "STOPPING_POLL_SECONDS", 0.0)
    yield Browser(account)
