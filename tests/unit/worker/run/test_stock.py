from __future__ import annotations

from pathlib import Path

from userdata.contract.layout import RunKeys
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.run.run_files import RunFiles
from userdata.worker.run.stock import take_stock

KEYS = RunKeys("a-run")


def test_an_image_is_done_where_its_png_is(bucket: Bucket, tmp_path: Path) -> None:
    """Image 3 has a record only, in both places: the attempt before was cut off between the record and the PNG."""
    files = RunFiles(KEYS, bucket, tmp_path)
    for key in (KEYS.image(0), KEYS.image(1), KEYS.image_metadata(3)):
        bucket.put(key, b"content")
    for key in (KEYS.image(1), KEYS.image(2), KEYS.image_metadata(3)):
        files.on_disk(key).parent.mkdir(parents=True, exist_ok=True)
        files.on_disk(key).write_bytes(b"content")
    requests = image_requests(Job(model="tiny", n_iter=5, n_samples=1))
    stock = take_stock(files, requests)
    assert (list(stock.in_bucket), list(stock.on_disk)) == ([0, 1], [2])
    assert list(stock.missing) == requests[3:]
    assert stock.resumed


def test_nothing_is_resumed_where_nothing_is_done(bucket: Bucket, tmp_path: Path) -> None:
    requests = image_requests(Job(model="tiny", n_iter=2, n_samples=1))
    stock = take_stock(RunFiles(KEYS, bucket, tmp_path), requests)
    assert list(stock.missing) == requests
    assert not stock.resumed
