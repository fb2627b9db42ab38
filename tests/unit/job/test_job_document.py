import json

import pytest

from userdata.job.job import Job
from userdata.job.job_document import MOST_BYTES, read_job, write_job


def test_a_job_is_read_as_it_was_written() -> None:
    job = Job(prompt="a horse, 马", H=640, W=512, ddim_steps=7, scale=7.25, seed=2**32 - 1, sampler="plms", n_iter=3)
    assert read_job(write_job(job)) == job
    assert read_job(write_job(job)).name == job.name


def test_the_longest_job_is_read() -> None:
    longest = "\N{HORSE}" * 1000
    assert read_job(write_job(Job(prompt=longest, negative_prompt=longest))).prompt == longest
    assert len(json.dumps([longest, longest])) < MOST_BYTES


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 5_000,
        b"[]",
        b'{"schema": 2, "prompt": "a horse"}',
        b'{"prompt": "a horse"}',
        b'{"schema": 1, "prompt": "a horse", "H": 5}',
        b'{"schema": 1, "prompt": "a horse", "colour": "red"}',
        b'{"schema": 1, "prompt": "a horse", "scale": NaN}',
        b" " * (MOST_BYTES + 1),
    ],
)
def test_any_other_content_is_refused_in_a_sentence(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^job\.json .*\.$"):
        read_job(content)
