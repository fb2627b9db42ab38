"""A run of many images holds no more memory than a run of few: nothing of an image stays once it is in the bucket."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from userdata.contract.layout import RunKeys
from userdata.contract.status import Status
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.record.drawn_with import DrawnWith
from userdata.worker.between.task import DrawnImage
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.run.pictures import Pictures
from userdata.worker.run.progress import Progress
from userdata.worker.run.run_files import RunFiles
from userdata.worker.run.run_request import RunRequest

# Of noise, which PNG cannot make smaller: 200,000 bytes each.
EDGE = 256
# An upload that waits is an entry in a queue.
WAITING_BYTES = 3_000
# Whatever the number of images. Python's table of interned names alone takes half of it when it doubles meanwhile.
MOST_BYTES = 8_000_000


class Sink(Bucket):
    """Takes everything once it is open, keeps nothing but counts."""

    def __init__(self) -> None:
        self.name = "results"
        self.open = threading.Event()
        self.images = 0
        self.last_status = b""
        self._lock = threading.Lock()

    def put(self, key: str, content: bytes) -> None:
        if key.endswith("status.json"):
            self.last_status = content

    def put_once(self, key: str, content: bytes, *, over: str | None = None) -> bool:
        assert self.open.wait(500)
        with self._lock:
            self.images += key.endswith(".png")
        return True


@pytest.fixture
def _traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.long)])
def test_memory_stays_flat_over_many_images(tmp_path: Path, count: int) -> None:
    """The uploads stand still at first, so that all images wait at once: their files may, but not their bytes."""
    job = Job(model="tiny", H=EDGE, W=EDGE, n_iter=count, n_samples=1)
    request = RunRequest(job, image_requests(job), None)
    keys, sink = RunKeys("a-run"), Sink()
    progress = Progress(sink, keys, Status(run_id="a-run", instance_id="i-1", images_total=count))
    pictures = Pictures(RunFiles(keys, sink, tmp_path), request, progress)
    progress.enter("generating")
    _save(pictures, range(10))
    before = traced()
    _save(pictures, range(10, count))
    assert traced() - before < MOST_BYTES + WAITING_BYTES * count
    sink.open.set()
    pictures.finish()
    progress.close()
    assert traced() - before < MOST_BYTES
    assert (sink.images, len(list((tmp_path / keys.samples_folder / "samples").iterdir()))) == (count, 2 * count)
    assert f'"images_done": {count}'.encode() in sink.last_status


def _save(pictures: Pictures, indices: range) -> None:
    for index in indices:
        drawn_with = DrawnWith(indices=[index], execution="eager", precision="float32", device="cpu")
        noise = Image.merge("RGB", [Image.effect_noise((EDGE, EDGE), 90) for _ in "RGB"])
        pictures.save(DrawnImage(index, noise, 0.1, drawn_with))
