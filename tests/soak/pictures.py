"""What is in the bucket of a run, and what of it is lost or doubled."""

from __future__ import annotations

import collections
import hashlib
import io
import json
from typing import Any

from PIL import Image

from tests.soak.work import Work
from userdata.record.image_metadata import record_in_png

# Of an image's record, what another attempt or another name makes another.
OF_THE_ATTEMPT = {"run_id", "created_at", "seconds", "drawn_with", "batch"}

# An image's pixels, by their SHA-256, and what its record says of every attempt, by the end of its key.
Pictures = dict[str, tuple[str, dict[str, Any]]]


def pictures_of(work: Work) -> tuple[Pictures, dict[str, str]]:
    """The images that are whole, and what is wrong with each that is not."""
    whole: Pictures = {}
    damaged = {}
    for key in work.images():
        content = work.stage.s3.get_object(Bucket=work.bucket, Key=key)["Body"].read()
        name = key.rpartition("/")[2]
        try:
            record = record_in_png(content)
        except ValueError as error:
            damaged[name] = str(error)
            continue
        beside = work.read(key.replace(".png", ".json"))
        if beside != json.loads(record.to_json()):
            damaged[name] = "the record beside it is not that inside it"
        elif (record.run_id, record.file) != (work.run_id, name):
            damaged[name] = f"it is {record.file} of {record.run_id}"
        else:
            job = {name: value for name, value in record.job.items() if name != "run_id"}
            told = {**record.model_dump(exclude=OF_THE_ATTEMPT), "job": job}
            whole[name] = (hashlib.sha256(Image.open(io.BytesIO(content)).tobytes()).hexdigest(), told)
    return whole, damaged


def put_twice(work: Work) -> list[str]:
    """The keys of images that were written more than once."""
    pages = work.stage.s3.get_paginator("list_object_versions").paginate(Bucket=work.bucket, Prefix=work.keys.prefix)
    versions = collections.Counter(one["Key"] for page in pages for one in page.get("Versions", []))
    return sorted(key for key, count in versions.items() if "/samples/" in key and key.endswith(".png") and count > 1)
