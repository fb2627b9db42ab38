"""MaxSpend: ends the work before the images that would make the run cost more."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from userdata.job.run_error import MaxSpendReached, RunError
from userdata.worker.run.ledger import Ledger


class Spending:
    """Watches what the run will have cost by the time its machine stops.

    `cost_in` tells what the run can have cost so many seconds from now, in US dollars: at most, because the price of a
    spot instance is known only to AWS. For `idle_seconds` the machine stays up after its work. The length of a batch is
    the time from one batch to the next. The longest batch so far counts, so that only the first batch is begun without
    a measure.
    """

    def __init__(
        self,
        cost_in: Callable[[float], float],
        *,
        max_usd: float,
        idle_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cost_in = cost_in
        self._max_usd = max_usd
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._began: float | None = None
        self._longest = 0.0

    def check(self) -> None:
        """Raises `MaxSpendReached` when another batch, and the idle time after it, would cost more than MaxSpend."""
        usd = self._cost_in(self._longest + self._idle_seconds)
        if usd > self._max_usd:
            raise MaxSpendReached(self._max_usd, self._cost_in(0), next_usd=usd)

    def check_before_batch(self) -> None:
        """Does what `check` does, and takes the time since the last call for the length of a batch."""
        now = self._clock()
        if self._began is not None:
            self._longest = max(self._longest, now - self._began)
        self._began = now
        self.check()


def read_spending(parameters: Mapping[str, str], ledger: Ledger, *, idle_seconds: float) -> Spending | None:
    """What the deployed parameters say about spending; None when they set no limit.

    Raises `RunError` when there is a limit and no price: the run could then pass the limit unnoticed.
    """
    text = parameters.get("MaxSpend", "0")
    try:
        max_usd = max(0.0, float(text))
    except ValueError:
        raise RunError(f"MaxSpend is {text!r}, but must be a number of US dollars, for example 2.5.") from None
    if max_usd == 0:
        return None
    if ledger.cost(images=0) is None:
        raise RunError(
            f"MaxSpend is {max_usd:g}, but what this instance costs an hour is not known here. Deploy with the price: "
            "UsdPerHour, for example 1.006; or without MaxSpend."
        )

    def cost_in(seconds: float) -> float:
        cost = ledger.cost(images=0, in_seconds=seconds)
        return cost.usd_at_most if cost else 0.0

    return Spending(cost_in, max_usd=max_usd, idle_seconds=idle_seconds)
