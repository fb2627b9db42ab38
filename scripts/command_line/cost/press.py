"""What one request costs on the machine that stands: the drawing, and before it the start of a stopped machine."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.command_line.account.plan import Plan
from scripts.command_line.cost.estimate import image_seconds, preparation_minutes, running_usd
from stacks.facts.instance_types import INSTANCE_TYPES
from userdata.bill.prices import HourlyPrice, Rates


@dataclass(frozen=True)
class Press:
    """`images` that are drawn in `seconds`, `start_seconds` after the request. `usd` is for both, in US dollars.

    `seconds` is None where the card or the model has no figure, `usd` also where no price is known.
    """

    images: int
    instance_type: str
    seconds: float | None
    start_seconds: float
    usd: float | None

    @property
    def in_words(self) -> str:
        """A sentence with the time and the price."""
        images = f"{self.images} image{'s' * (self.images != 1)} on {self.instance_type}"
        start = f", after about {_duration(self.start_seconds)} until it is up" if self.start_seconds else ""
        if self.seconds is None:
            return f"{images}: how long they take is not known here{start}."
        usd = "at a price that is not known here" if self.usd is None else _dollars(self.usd)
        return f"{images}: about {_duration(self.seconds)}{start}, {usd}."


def price_press(plan: Plan, price: HourlyPrice | None, rates: Rates, *, is_up: bool, is_free: bool = False) -> Press:
    """The price of a request for `plan`, by the figures of `sd cost`. `is_free` is for an emulated account."""
    instance_type = plan.machine.instance_type
    one = image_seconds(plan.job, INSTANCE_TYPES[instance_type])
    seconds = None if one is None else one * plan.images_total
    start = 0.0 if is_up or is_free else preparation_minutes(plan.job, "disk") * 60
    usd = 0.0 if is_free else None
    if price and seconds is not None and not is_free:
        usd = running_usd(price, rates, (start + seconds) / 60, disk_gib=plan.machine.volume_size)
    return Press(plan.images_total, instance_type, seconds, start, usd)


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def _dollars(usd: float) -> str:
    return f"${usd:.2f}" if usd >= 0.1 else f"${usd:.4f}" if usd else "at no cost in the local cloud"
