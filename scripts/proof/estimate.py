"""How long the steps take and what they cost, by the estimates of `sd cost` and the dated prices."""

from __future__ import annotations

from collections.abc import Iterable

from scripts.command_line.cost.estimate import preparation_minutes
from scripts.command_line.terminal.command_error import CommandError
from scripts.proof.place import JOB, Place, hourly
from scripts.proof.step import Step

# Minutes in which an instance is billed beyond its preparation: it draws one image, saves the cache, shuts down.
AROUND = 3.0
# Minutes of a deploy without the instance: synthesis, CloudFormation, the network.
DEPLOY = 3.0
LIMIT = 1.00  # US dollars


def estimate(place: Place, steps: Iterable[Step]) -> tuple[float, float]:
    """Minutes and US dollars of a walk. Steps that the place has no type or no zone for cost nothing."""
    minutes = usd = 0.0
    for step in steps:
        if step.prepares:
            try:
                price = hourly(place.region, step.type_of(place)) or 0
            except KeyError:
                continue
            billed = preparation_minutes(JOB, step.prepares) + AROUND
            minutes += billed + DEPLOY
            usd += billed / 60 * price
    return minutes, usd


def refuse_what_is_dear(place: Place, usd: float) -> None:
    """Raises `CommandError` for a walk above the limit."""
    if usd > LIMIT:
        raise CommandError(
            f"In {place.region} the proof would cost about ${usd:.2f}, more than ${LIMIT:.2f}. Set AWS_REGION to a "
            "cheaper region, for example us-east-1."
        )
