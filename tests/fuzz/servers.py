"""Readers of what other processes answer: the hub, its redirects, archives of the cache, the process that draws."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import io
import json
import os
import socket
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock
from urllib.parse import urlsplit, urlunsplit

from tests.fuzz.target import Target
from userdata.boot.fetch import hub
from userdata.boot.fetch.packed_folder import MANIFEST
from userdata.boot.fetch.passing_error import asked_pause
from userdata.boot.fetch.request import CONTENT_RANGE, Manner, Redirects, length_in
from userdata.boot.fetch.unpacking import unpack_folder
from userdata.boot.machine.step_error import StepError
from userdata.contract.patience import Patience
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.job.run_error import RunError
from userdata.worker.between import drawing_process
from userdata.worker.between.drawing_process import DrawingProcess
from userdata.worker.between.hearing import DrawingError
from userdata.worker.between.task import Task

ONCE = Manner(patience=Patience(attempts=2, first_pause=0, sleep=lambda _: None))
CODES = (200, 206, 301, 302, 307, 308, 401, 403, 404, 416, 429, 500, 503)
SEPARATOR = b"\n--another part--\n"
JOB = Job(model="tiny", n_samples=2)


def headers_of(content: bytes) -> tuple[int, Message]:
    """A status code, by the first byte, and headers. Those that Python's reader refuses are none."""
    try:
        return CODES[content[0] % len(CODES)], http.client.parse_headers(io.BytesIO(content[1:] + b"\r\n\r\n"))
    except (http.client.HTTPException, IndexError):
        return 200, Message()


def hub_answer(content: bytes) -> object:
    """The same answer to each question."""
    code, headers = headers_of(content)

    def answer(request: urllib.request.Request, **_: Any) -> Any:
        urllib.request.Request(request.full_url)  # noqa: S310  # refuses addresses that are none
        if code < 300:
            return contextlib.nullcontext(SimpleNamespace(headers=headers))
        raise urllib.error.HTTPError(request.full_url, code, "so", headers, io.BytesIO())

    with mock.patch("urllib.request.build_opener", lambda *_: SimpleNamespace(open=answer)):
        pinned = hub.pin_hub_file(repository="a/b", revision="main", path="c.ckpt", token="secret", manner=ONCE)
    assert pinned.url.startswith("https://huggingface.co/")
    assert pinned.bytes != 0
    length_in(headers)
    asked_pause(headers)
    CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    return pinned


def redirect(content: bytes) -> object:
    """An address to which the hub sends us on: the secret goes nowhere else, and nothing goes unencrypted."""
    request = urllib.request.Request("https://huggingface.co/a", headers={"Authorization": "Bearer secret"})
    # As urllib takes an address apart before it asks whether to follow.
    address = urlunsplit(urlsplit(content.decode("utf-8", "replace")))
    following = Redirects().redirect_request(request, io.BytesIO(), 302, "so", Message(), address)
    assert following is not None
    assert following.full_url.lower().startswith("https:")
    if following.host != "huggingface.co":
        assert not following.has_header("Authorization")
    return following


class Parts:
    """A bucket with the parts of a folder."""

    name = "bucket"

    def __init__(self, *archives: bytes) -> None:
        self._objects = {hashlib.sha256(one).hexdigest(): one for one in archives}

    def get_file(self, key: str, path: Path) -> bool:
        name = key.rpartition("/")[2]
        parts = [{"sha256": sha256, "bytes": len(one)} for sha256, one in self._objects.items()]
        manifest = json.dumps({"schema": 1, "parts": parts, "unpacked_bytes": 10}).encode()
        path.write_bytes(manifest if name == MANIFEST else self._objects[name.partition(".")[0]])
        return True


def archive(content: bytes) -> object:
    """One tar, or several: nothing comes to lie outside, and no link of the result leads there."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch).resolve()
        (root / "victim").write_text("untouched")
        folder = root / "in/folder"
        bucket: Any = Parts(*(gzip.compress(one, 1) for one in content.split(SEPARATOR)[:3]))
        try:
            unpack_folder(bucket, "cache/a/", folder)
        finally:
            assert sorted(os.listdir(root)) in (["in", "victim"], ["victim"])
            assert (root / "victim").read_text() == "untouched"
            assert all(one.resolve().is_relative_to(folder) for one in folder.rglob("*"))
        return folder


@contextlib.contextmanager
def said(content: bytes) -> Iterator[DrawingProcess]:
    """A drawing process that has said this and then ends."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(content[:100_000])
        theirs.shutdown(socket.SHUT_WR)
        yield DrawingProcess(ours)


def frames(content: bytes) -> object:
    images: list[object] = []
    task = Task(
        JOB,
        image_requests(JOB),
        total=2,
        initial_image=None,
        save=images.append,
        **{name: lambda *_: None for name in ("ready", "begin_batch", "leave_if_asked", "estimate")},  # type: ignore[arg-type]
    )
    settings: Any = SimpleNamespace(variables=dict)
    with mock.patch.object(drawing_process, "_out_of_memory_kills", lambda: 0), said(content) as process:
        process.draw(settings, task)
    return images


TARGETS = {
    "hub-answer": Target(hub_answer, (StepError,)),
    "redirect": Target(redirect, (urllib.error.HTTPError, ValueError)),
    "archive": Target(archive, (StepError, ValueError), cost=100),
    "frames": Target(frames, (RunError, DrawingError, OSError), cost=3),
}
