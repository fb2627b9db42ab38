"""The queues that a worker asks for work: their names, and the message that points at a run.

A message holds only the name of its run, because the job lies at `runs/<run-id>/job.json` before the message is sent.
So a message is short, and a run is found by its name although its message is gone. A job in the bucket is whole: its
edges are given, also where they follow from an initial image, so that its own name is the run's.

A message whose run cannot be drawn goes to the dead-letter queue as it is, with the attribute `REASON`, a sentence for
a person.
"""

from __future__ import annotations

import json
import re

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


def write_message(run_id: str) -> str:
    """The body of the message that points at a run."""
    return json.dumps({"schema": 1, "run_id": run_id})


def read_message(body: str) -> str:
    """The name of the run that a message points at. Raises `ValueError`, with one sentence, for any other body."""
    if len(body) > MOST_BYTES:
        raise ValueError(f"The message has {len(body):,} characters, but one that points at a run has {MOST_BYTES}.")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError(f"The message is no JSON: {body!r}.") from None
    if not isinstance(document, dict) or set(document) != {"schema", "run_id"}:
        raise ValueError(f"The message is not of the form {write_message('...')}: {body!r}.")
    if document["schema"] is True or document["schema"] != 1:
        raise ValueError(f"The message has the schema {document['schema']!r}, but this version knows 1 alone.")
    run_id = document["run_id"]
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise ValueError(f"The message points at {run_id!r}, which is no name of a run.")
    return run_id
