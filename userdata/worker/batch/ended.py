"""How the work that a message asks for has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from userdata.worker.run.run import Outcome


@dataclass(frozen=True)
class Ended:
    """The work's outcome so far, and what is left of it.

    `why` is a sentence for a person about a failure. `sets_aside` says that the message goes to the dead-letter queue.
    `finish` is what can go on while the next message is worked on already, and tells how the work ended in truth.
    """

    outcome: Outcome
    why: str = ""
    sets_aside: bool = False
    finish: Callable[[], Ended] | None = None
