"""The queues that a worker asks for work: their names, and the message that points at a run.

A message holds only a pointer, because what it points at lies in the bucket before the message is sent: the job at
`runs/<run-id>/job.json`, or the units of a batch at `runs/<run-id>/units.jsonl`. So a message is short, and a run is
found by its name although its message is gone. A job in the bucket is whole: its edges are given, also where they
follow from an initial image, so that its own name is the run's.

A message whose run cannot be drawn goes to the dead-letter queue as it is, with the attribute `REASON`, a sentence for
a person.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Dict, Type, Union

from userdata.contract.outside import read_json

# The deployed parameter with the beginning of the queues' names. Stacks of earlier commits have none.
PARAMETER = "Queues"
# In the order in which a worker asks: an interactive run goes before a batch.
INTERACTIVE, BATCH = "interactive", "batch"
QUEUES = (INTERACTIVE, BATCH)
# A message is hidden for so long after it was received. A worker that lives extends that, so that the message of one
# that died comes back soon.
VISIBILITY_SECONDS = 120
EXTEND_EVERY_SECONDS = 40
# SQS's longest wait for a message.
WAIT_SECONDS = 20
# Each spot instance that is lost is one more receive of a good message, so a worker counts real failures itself.
MOST_RECEIVES = 10
REASON = "reason"

MOST_BYTES = 256
_RUN_ID = re.compile(r"[a-z0-9-]{1,40}-[0-9a-f]{10}")


def queue_name(prefix: str, kind: str) -> str:
    """The name of the queue `kind`, one of `QUEUES`. The user data's parameter `Queues` is the prefix."""
    return f"{prefix}-{kind}"


def dead_letters_of(queue: str) -> str:
    """The name of the dead-letter queue of `queue`, a name too."""
    return f"{queue}-dead"


@dataclass(frozen=True)
class WholeRun:
    """Points at a run with a job of its own."""

    run_id: str

    def to_body(self) -> str:
        """The body of the message."""
        return json.dumps({"schema": 1, "run_id": self.run_id})


@dataclass(frozen=True)
class UnitOfBatch:
    """Points at one unit of a batch: its number in its part, and where its line lies in the part's file, in bytes.

    So a worker reads one line of a file that may be large.
    """

    run_id: str
    part: int
    unit: int
    at: int
    bytes: int

    def to_body(self) -> str:
        """The body of the message."""
        return json.dumps({"schema": 2, "kind": "unit", **asdict(self)})


@dataclass(frozen=True)
class Release:
    """Asks whoever receives it to send the messages of a part's units, from the one on whose line begins at `at`.

    So a batch begins by one message, which a command sends, or a schedule while no computer of a person's is on. Who
    has sent many units sends another such message for the rest. What is drawn by then is not sent again.
    """

    run_id: str
    part: int
    unit: int = 0
    at: int = 0

    def to_body(self) -> str:
        """The body of the message."""
        return json.dumps({"schema": 2, "kind": "release", **asdict(self)})


Work = Union[WholeRun, UnitOfBatch, Release]
_KINDS: Dict[str, Union[Type[UnitOfBatch], Type[Release]]] = {"unit": UnitOfBatch, "release": Release}
MOST_NUMBER = 10**12


def read_work(body: str) -> Work:
    """What a message asks for. Raises `ValueError`, with one sentence, for any body that `to_body` does not write."""
    if len(body) > MOST_BYTES:
        raise ValueError(f"The message has {len(body):,} characters, but one that points at work has {MOST_BYTES}.")
    try:
        document = read_json(body)
    except ValueError as error:
        raise ValueError(f"The message cannot be read ({error}): {body!r}.") from None
    if type(schema := document.pop("schema", None)) is not int:
        raise ValueError(f"The message is not of the form {WholeRun('...').to_body()}: {body!r}.")
    if schema not in (1, 2):
        raise ValueError(f"The message has the schema {schema!r}, but this version knows 1 and 2 alone.")
    kind = document.pop("kind", None) if schema == 2 else None
    found = WholeRun if schema == 1 else _KINDS.get(kind) if isinstance(kind, str) else None
    if found is None or set(document) != {one.name for one in fields(found)}:
        raise ValueError(f"The message is of no kind that this version knows: {body!r}.")
    run_id = document.pop("run_id")
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise ValueError(f"The message points at {run_id!r}, which is no name of a run.")
    for name, value in document.items():
        if type(value) is not int or not 0 <= value <= MOST_NUMBER:
            raise ValueError(f"The message has {name} {value!r}, but that must be a whole number from 0.")
    return found(run_id, **document)


def write_message(run_id: str) -> str:
    """The body of the message that points at a run with a job of its own."""
    return WholeRun(run_id).to_body()


def read_message(body: str) -> str:
    """The name of the run that a message is about. Raises `ValueError` as `read_work` does."""
    return read_work(body).run_id
