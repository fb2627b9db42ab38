"""What an earlier boot or worker has told of a run; read as the user `sd-fetch`, since anybody may have written it.

Root gets six words, each of which it checks.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import Optional

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.machine.commands import User
from userdata.boot.machine.fetcher import main_apart, said_apart
from userdata.boot.machine.step_error import StepError
from userdata.contract.outside import read_utc, read_whole
from userdata.contract.status import PHASES, read_status, utc_text

logger = logging.getLogger(__name__)
READ_SECONDS = 600  # the bucket's own patience ends before
NOTHING_THERE = 3


@dataclass(frozen=True)
class Earlier:
    """How far a run had come. Times are UTC, ISO 8601."""

    phase: str
    images_done: int
    images_total: int
    images_flagged: int
    started_at: str
    updated_at: str

    @classmethod
    def from_status(cls, text: str) -> Earlier:
        """What a status.json tells. Raises `ValueError` for one that is none."""
        document = {"images_total": 0, "images_flagged": 0, **read_status(text)}
        values = [document.get(name) for name in cls.__dataclass_fields__]
        return cls.from_line(" ".join(str(value) if isinstance(value, (str, int)) else "?" for value in values))

    @classmethod
    def from_line(cls, line: str) -> Earlier:
        """What `to_line` has made. Raises `ValueError` for anything else."""
        words = line.split(" ")
        if len(words) != len(cls.__dataclass_fields__) or words[0] not in PHASES:
            raise ValueError(f"{line[:80]!r} does not tell how far a run is")
        done, total, flagged = (read_whole(word) for word in words[1:4])
        started_at, updated_at = (utc_text(read_utc(word)) for word in words[4:])
        return cls(words[0], done, total, flagged, started_at, updated_at)

    def to_line(self) -> str:
        """All of it in one line."""
        return " ".join(str(value) for value in vars(self).values())


def earlier_in(found: Optional[str]) -> Optional[Earlier]:
    """What the status.json `found` tells; None where there is none, or none that can be read, which is logged."""
    try:
        return None if found is None else Earlier.from_status(found)
    except ValueError as error:
        logger.warning("the run's status.json is not readable (%s): it is begun again", error)
        return None


def read_earlier_apart(bucket: Bucket, key: str, user: Optional[User]) -> Optional[Earlier]:
    """What the status.json at `key` tells, asked and read by `user` in a process of its own. Raises `StepError`."""
    status, said = said_apart("userdata.boot.telling.earlier", bucket.name, key, seconds=READ_SECONDS, user=user)
    if status == NOTHING_THERE:
        return None
    try:
        return Earlier.from_line(said)
    except ValueError as error:
        raise StepError(f"The run's status could not be read ({error}). To try again, start the instance.") from error


def main() -> int:
    """The exit status; the last line tells what was found."""
    name, key = sys.argv[1:]
    earlier = earlier_in(Bucket(name).get(key))
    if earlier is None:
        return NOTHING_THERE
    print(earlier.to_line(), flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main_apart(main))
