"""What the default instance costs, and how fast each card draws, as tables."""

from __future__ import annotations

from scripts.command_line.account.plan import make_plan
from scripts.command_line.cost.estimate import Estimate, estimates
from stacks.facts.card_speeds import CARD_SPEEDS, PRODUCT_RATES, SHARE_OF_PRODUCT_RATE
from userdata.bill.prices import read_prices

REGION = "us-east-1"


def prices() -> str:
    """What the default instance costs in us-east-1, by the dated table of the bundle and the estimate of `sd cost`."""
    run, disk, month = _first_run()
    name, hourly, rates = run.instance_type.name, run.price.usd, read_prices().rates_of(REGION)
    minutes = run.prepare + (run.generate or 0) + run.idle + run.keep
    rows = [
        f"| {name}, running | ${hourly:g} an hour | {minutes:.0f} minutes, ${hourly * minutes / 60:.2f} |",
        f"| its public IPv4 address, running | ${rates.address_hour:g} an hour | below a cent |",
        f"| its {disk} GB disk, always | ${month:g} a month | ${month / 30:.2f} a day until `cdk destroy` |",
        f"| the bucket | ${rates.bucket_gb_month:g} per GB and month | below a cent |",
    ]
    head = ["| what | price | for the default run |", "| --- | --- | --- |"]
    return "\n".join([f"By the {run.price.source}:", "", *head, *rows])


def price_in_short() -> str:
    """The same in two lines."""
    run, _, month = _first_run()
    return (
        f"**Price.** About ${run.usd or 0:.2f} for the first run on a {run.instance_type.name}, an estimate; "
        f"then ${month:g} a month for the\nstopped instance's disk, until `cdk destroy`. [The bill](#what-it-costs)."
    )


def card_speeds() -> str:
    """How fast each card draws the article's image, and what the figure rests on."""
    rows = [f"| {card} | {speed.seconds:g} | {speed.basis}: {speed.origin} |" for card, speed in CARD_SPEEDS.items()]
    return "\n".join(["| card | s for the article's image | rests on |", "| --- | --- | --- |", *rows])


def product_rates() -> str:
    """How fast each card computes large products, and the share of it that each model's drawing reaches."""
    rates = [f"| {card} | {rate:g} | {origin} |" for card, (rate, origin) in PRODUCT_RATES.items()]
    shares = [f"| `{layout}` | {100 * share:.0f} % |" for layout, share in SHARE_OF_PRODUCT_RATE.items()]
    head = ["| card | TFLOP/s | rests on |", "| --- | --- | --- |"]
    return "\n".join([*head, *rates, "", "| model | share on an H200 |", "| --- | --- |", *shares])


def _first_run() -> tuple[Estimate, int, float]:
    """The first run of the defaults, as `sd cost` estimates it; its disk's size, in GB, and what that costs a month."""
    plan = make_plan(None, {}, {})
    name, rates = plan.machine.instance_type, read_prices().rates_of(REGION)
    price = read_prices().hourly(REGION, name, "on-demand")
    assert price
    (run,) = estimates(plan, {(name, "on-demand"): price}, rates, preparation="install", types=[name])
    return run, plan.machine.volume_size, plan.machine.volume_size * rates.disk_gb_month
