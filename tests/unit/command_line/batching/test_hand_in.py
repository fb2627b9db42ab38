from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.response import StreamingBody

from scripts.command_line.batching.hand_in import Bucket
from scripts.command_line.terminal.command_error import CommandError
from userdata.batch.documents import Batch
from userdata.batch.unit import MOST_LINE_BYTES


class Endless(io.RawIOBase):
    """An object without a line's end."""

    given = 0

    def readinto(self, buffer: Any) -> int:
        self.given += len(buffer)
        assert self.given < 10 * MOST_LINE_BYTES, "it is read on and on"
        buffer[:] = b"x" * len(buffer)
        return len(buffer)

    def readable(self) -> bool:
        return True


class S3:
    def get_object(self, **_: str) -> dict[str, Any]:
        return {"Body": StreamingBody(cast(Any, Endless()), 10**12)}


def test_units_without_an_end_are_refused_after_one_line() -> None:
    batch = cast(Batch, SimpleNamespace(run_id="b-0", parts=[None]))
    with pytest.raises(CommandError, match=r"runs/b-0/units.jsonl in results cannot be used. .* must have at most"):
        list(Bucket(cast(Any, S3()), "results").units_of(batch))
