from __future__ import annotations

import json

import pytest

from userdata.batch.documents import Batch

PART = {"images": 60_000, "units": 1000, "bytes": 1}
BATCH = {"run_id": "a", "title": "a", "by": "a", "asked_at": "2026-11-29T12:00:00Z", "model": "tiny", "schema": 1}


def test_a_batch_has_no_more_images_than_a_run_may_have() -> None:
    assert Batch.from_json(json.dumps({**BATCH, "parts": [PART, {**PART, "images": 40_000}]}).encode()).images == 10**5
    for parts in ([PART, PART], [{**PART, "images": 100_001}]):
        with pytest.raises(ValueError, match="100,?000"):
            Batch.from_json(json.dumps({**BATCH, "parts": parts}).encode())
