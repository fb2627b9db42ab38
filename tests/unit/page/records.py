"""Records of images that nobody has drawn."""

from __future__ import annotations

from typing import Any

from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.record.drawn_with import DrawnWith
from userdata.record.image_metadata import ImageRecord, describe_image

# A text that would rather be markup, a script, a command, or something else than it seems.
HOSTILE = "</script><img src=x onerror=document.title=1><!--NOTE-->\u2028'$(id)'\x15 \u202egnp.exe\u202c & \"a\" \\"


def records(images: int = 3, *, run_id: str = "a-run", **of_job: Any) -> list[ImageRecord]:
    job = Job(**{"model": "demo", "n_iter": images, "n_samples": 1, **of_job})
    requests = image_requests(job)
    return [
        describe_image(
            job,
            requests,
            index,
            run_id=run_id,
            seconds=1.5,
            drawn_with=DrawnWith(indices=[index], execution="eager", precision="float16", device="NVIDIA L4"),
            versions={"diffusers": "0.42.1"},
        )
        for index in range(images)
    ]
