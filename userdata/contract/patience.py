"""Repeats an action that fails, with growing pauses."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Callable, Iterator, Optional, Type, TypeVar

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Patience:
    """`attempts` in all; the pauses between them, in seconds, double from `first_pause` up to `longest_pause`.

    `sleep` is a parameter so that tests need not wait.
    """

    attempts: int = 6
    first_pause: float = 1.0
    longest_pause: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def pauses(self) -> Iterator[float]:
        """The pauses, in seconds, one fewer than the attempts."""
        pause = self.first_pause
        for _ in range(self.attempts - 1):
            yield pause
            pause = min(2 * pause, self.longest_pause)

    def retry(
        self,
        action: Callable[[], Result],
        *,
        on: Type[Exception],
        passes: Optional[Callable[[Exception], bool]] = None,
    ) -> Result:
        """What `action` returns, tried again when it raises an `on` that `passes`, which by default is every one.

        Any other exception, and the last attempt's, go through as they are.
        """
        for pause in self.pauses():
            try:
                return action()
            except on as error:
                if passes and not passes(error):
                    raise
                logger.warning("%s; trying again in %g s", error, pause)
                self.sleep(pause)
        return action()
