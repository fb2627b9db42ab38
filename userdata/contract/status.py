"""The document `status.json`, which boot and worker rewrite as a run goes on."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Dict, Optional, Union

from userdata.contract.outside import read_json

# In their order: the boot's, the worker's, and those that a run ends in.
PHASES = (
    *("boot", "driver", "environment", "weights", "worker"),
    *("model", "generating", "uploading"),
    *("done", "capped", "failed"),
)
# A run in one of them has ended without being done, until it is started again.
ENDED_EARLY = ("capped", "failed")
LOG_TAIL_LINES = 40
# The longest part of it is the end of a log.
MOST_BYTES = 4 << 20


def read_status(content: Union[bytes, str]) -> Dict[str, Any]:
    """What a status.json tells, by `read_json`. Raises `ValueError`."""
    return read_json(content, most_bytes=MOST_BYTES)


def utc_now() -> str:
    """The time now: UTC, ISO 8601, to the millisecond."""
    return utc_text(datetime.now(timezone.utc))


def utc_text(time: datetime) -> str:
    """A time with a zone as UTC, ISO 8601, to the millisecond."""
    return time.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Failure:
    """Why a run failed: the step, one sentence for a person, and the log's last lines."""

    step: str
    message: str
    log_tail: str


@dataclass
class Status:
    """The state of one run. Times are UTC, ISO 8601; `eta_seconds` counts to the last image, None while unknown.

    `images_flagged` are those that the safety checker has flagged.

    A run in phase `capped` has ended before its last image, since MaxSpend would have been passed: `note` says so to a
    person, and `max_spend` is that limit in US dollars. In every other phase both are None.
    """

    run_id: str
    instance_id: str
    phase: str = "boot"
    images_done: int = 0
    images_total: int = 0
    images_flagged: int = 0
    started_at: str = field(default_factory=utc_now)
    updated_at: str = field(default_factory=utc_now)
    eta_seconds: Optional[float] = None
    error: Optional[Failure] = None
    note: Optional[str] = None
    max_spend: Optional[float] = None
    schema: int = 1

    def __post_init__(self) -> None:
        if self.phase not in PHASES:
            raise ValueError(f"{self.phase!r} is not a phase; the phases are {', '.join(PHASES)}")

    def to_json(self) -> str:
        """The document as text, with the time of writing."""
        self.updated_at = utc_now()
        return json.dumps({"schema": self.schema, **dataclasses.asdict(self)}, indent=2) + "\n"


def log_tail(text: str) -> str:
    """The last lines of a log, as many as a status carries."""
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])
