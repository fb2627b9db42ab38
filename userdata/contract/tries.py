"""How often a piece of work has really failed: the note that outlives the worker process that failed at it.

While the worker does what a message asks for, the note lies on the machine's disk. If the process is killed, whoever
sees that puts the note into the bucket, with one failure more. A failure that the process sees itself, it puts there
itself. A machine that is taken away, or told to stop, puts no note there, because the work did not fail. So SQS's count
of receives cannot take the note's place; it says whether it is worth looking for one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Optional, Union

from userdata.contract.layout import RunKeys
from userdata.contract.outside import read_json
from userdata.contract.work import UnitOfBatch, Work, read_work

SCHEMA = 1
# Then the work goes to the dead-letter queue.
MOST_FAILURES = 2


@dataclass(frozen=True)
class Tries:
    """The message's `body`, how often what it asks for has failed, and why the last time, a sentence for a person.

    `message` is SQS's name of the message, None where that is not known: a later message for the same work begins anew.
    """

    body: str
    message: Optional[str] = None
    failures: int = 0
    why: str = ""

    def failed(self, why: str) -> Tries:
        """The note after one failure more."""
        return replace(self, failures=self.failures + 1, why=why)

    def to_json(self) -> str:
        """The document."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}) + "\n"

    @property
    def work(self) -> Work:
        """What the message asks for. Raises `ValueError` as `read_work` does."""
        return read_work(self.body)

    @property
    def key(self) -> str:
        """Where the note lies in the bucket. Raises `ValueError` as `read_work` does."""
        work = self.work
        keys = RunKeys(work.run_id)
        return keys.unit_tries(work.part, work.unit) if isinstance(work, UnitOfBatch) else keys.tries


def read_tries(text: Optional[Union[str, bytes]]) -> Optional[Tries]:
    """Reads what `to_json` wrote. None for anything else, which counts as no failure."""
    try:
        document = read_json(text or "")
        if document.pop("schema", None) != SCHEMA:
            return None
        tries = Tries(**document)
    except (ValueError, TypeError):
        return None
    named = tries.message is None or isinstance(tries.message, str)
    typed = named and isinstance(tries.body, str) and type(tries.failures) is int and isinstance(tries.why, str)
    return tries if typed else None
