"""The error whose message is meant for the person who asked for the run."""


class RunError(Exception):
    """The run cannot go on. The message says in one or two sentences what failed, why, and what to do next."""


class PassingRunError(RunError):
    """The run cannot go on for now, and another attempt may: the cause lies outside the run."""


class BetweenBatches(Exception):  # noqa: N818  # nothing went wrong
    """The run ends, or waits, before its next batch of images."""


class MaxSpendReached(BetweenBatches):
    """The next images could take the run past MaxSpend. `usd` is what it can have cost so far, all in US dollars."""

    def __init__(self, max_usd: float, usd: float, *, next_usd: float) -> None:
        super().__init__(
            f"MaxSpend is ${max_usd:g}: the run has cost up to ${usd:.2f}, and another batch of images could make it "
            f"${next_usd:.2f} by the time the instance stops. What is drawn is in the bucket; to go on, deploy again "
            "with a larger MaxSpend."
        )
        self.max_usd = max_usd
        self.usd = usd


class GaveWay(BetweenBatches):
    """Another run goes first. The saved images are kept, and this one goes on afterwards."""


class Stopped(Exception):  # noqa: N818  # nothing went wrong: the machine goes down and the next boot goes on
    """The worker was asked to stop. The saved images are kept, and the next start goes on."""
