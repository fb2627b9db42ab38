"""What ends the drawing of a run before its last image."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from userdata.job.run_error import GaveWay, Stopped
from userdata.worker.run.max_spend import Spending


@dataclass(frozen=True)
class Limits:
    """A request to stop, once `stop` is set, MaxSpend, and another run that goes first.

    `spending` is None for a run without MaxSpend. `gives_way` tells whether another run goes first.
    """

    stop: threading.Event
    spending: Spending | None
    gives_way: Callable[[], bool] = lambda: False

    def before_model(self) -> None:
        """Raises `MaxSpendReached` when the limit is reached already: loading the model must not add to the cost.

        Raises `Stopped` too, because loading cannot be interrupted, and `GaveWay`, because another run may want another
        model.
        """
        self.leave_if_asked()
        if self.gives_way():
            raise GaveWay
        if self.spending:
            self.spending.check()

    def before_batch(self) -> None:
        """Raises `Stopped`, `GaveWay` or `MaxSpendReached` when no further batch may be begun."""
        self.leave_if_asked()
        if self.gives_way():
            raise GaveWay
        if self.spending:
            self.spending.check_before_batch()

    def leave_if_asked(self) -> None:
        """Raises `Stopped` when the worker was asked to stop."""
        if self.stop.is_set():
            raise Stopped
