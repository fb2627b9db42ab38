import json

import pytest

from userdata.contract.work import (
    EXTEND_EVERY_SECONDS,
    MOST_BYTES,
    QUEUES,
    VISIBILITY_SECONDS,
    dead_letters_of,
    queue_name,
    read_message,
    write_message,
)
from userdata.job.job import Job

PREFIX = "sd-6f1d9b0e-3c1b-11f0-9a52-0affd8a1b2c3"


@pytest.mark.parametrize("prompt", ["a horse under a tree", "马", "x" * 1000, "-" * 50, "a b c " * 100])
def test_a_message_points_at_the_run_of_any_job(prompt: str) -> None:
    run_id = Job(prompt=prompt).name
    assert read_message(write_message(run_id)) == run_id


@pytest.mark.parametrize(
    "body",
    [
        "",
        "a horse",
        "null",
        "[]",
        "[" * MOST_BYTES,
        json.dumps({"schema": 1}),
        json.dumps({"run_id": "a-horse-0123456789"}),
        json.dumps({"schema": 2, "run_id": "a-horse-0123456789"}),
        json.dumps({"schema": True, "run_id": "a-horse-0123456789"}),
        json.dumps({"schema": "1", "run_id": "a-horse-0123456789"}),
        json.dumps({"schema": [1], "run_id": "a-horse-0123456789"}),
        json.dumps({"schema": 1, "run_id": "a-horse-0123456789", "more": 1}),
        json.dumps({"schema": 1, "run_id": 5}),
        json.dumps({"schema": 1, "run_id": None}),
        json.dumps({"schema": 1, "run_id": "a-horse"}),
        json.dumps({"schema": 1, "run_id": "../a-horse-0123456789"}),
        json.dumps({"schema": 1, "run_id": "a/horse-0123456789"}),
        json.dumps({"schema": 1, "run_id": "a-horse-0123456789\n"}),
        json.dumps({"schema": 1, "run_id": "a" * 41 + "-0123456789"}),
        json.dumps({"schema": 1, "run_id": "a-horse-0123456789"}) + " " * MOST_BYTES,
    ],
)
def test_any_other_body_is_refused_in_one_sentence(body: str) -> None:
    with pytest.raises(ValueError, match=r"^The message .*\.$"):
        read_message(body)


def test_the_longest_name_of_a_queue_is_one_that_sqs_takes() -> None:
    names = [queue_name(PREFIX, kind) for kind in QUEUES]
    assert names == [f"{PREFIX}-interactive", f"{PREFIX}-batch"]
    assert max(len(dead_letters_of(name)) for name in names) <= 80


def test_a_message_is_extended_twice_before_it_would_come_back() -> None:
    assert 2 * EXTEND_EVERY_SECONDS < VISIBILITY_SECONDS
