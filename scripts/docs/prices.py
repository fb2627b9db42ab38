"""What the default instance costs, and how fast each card draws, as tables."""

from __future__ import annotations

from stacks.facts.card_speeds import CARD_SPEEDS
from stacks.facts.machine_parameters import MachineParameters
from userdata.bill.prices import read_prices

REGION = "us-east-1"


def prices() -> str:
    """What the default instance costs in us-east-1, by the dated table of the bundle."""
    instance_type, hourly, source, disk, month = _default_machine()
    rates = read_prices().rates_of(REGION)
    rows = [
        f"| {instance_type}, running | ${hourly:g} an hour | ten minutes, ${hourly / 6:.2f} |",
        f"| its public IPv4 address, running | ${rates.address_hour:g} an hour | below a cent |",
        f"| its {disk} GB disk, always | ${month:g} a month | ${month / 30:.2f} a day until `cdk destroy` |",
        f"| the bucket | ${rates.bucket_gb_month:g} per GB and month | below a cent |",
    ]
    head = ["| what | price | for the default run |", "| --- | --- | --- |"]
    return "\n".join([f"By the {source}:", "", *head, *rows])


def price_in_short() -> str:
    """The same in two lines."""
    instance_type, hourly, _, _, month = _default_machine()
    return (
        f"**Price.** About ${hourly / 6:.2f} for the first run on a {instance_type}, an estimate; "
        f"then ${month:g} a month for the\nstopped instance's disk, until `cdk destroy`. [The bill](#what-it-costs)."
    )


def card_speeds() -> str:
    """How fast each card draws the article's image, and what the figure rests on."""
    rows = [f"| {card} | {speed.seconds:g} | {speed.basis}: {speed.origin} |" for card, speed in CARD_SPEEDS.items()]
    return "\n".join(["| card | s for the article's image | rests on |", "| --- | --- | --- |", *rows])


def _default_machine() -> tuple[str, float, str, int, float]:
    """The default type, its price an hour and the price's source; its disk's size and what that costs a month."""
    machine = MachineParameters()
    hourly = read_prices().hourly(REGION, machine.instance_type, "on-demand")
    assert hourly
    month = machine.volume_size * read_prices().rates_of(REGION).disk_gb_month
    return machine.instance_type, hourly.usd, hourly.source, machine.volume_size, month
