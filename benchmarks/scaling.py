"""`python -m benchmarks.scaling`: simulates batches on fleets, and writes the figures of docs/scaling.md.

Prints the machine, the seeds, and for each batch the median with the least and the most of all seeds. Nothing in it was
run on AWS; what is assumed of EC2 is in `benchmarks.simulated_fleet`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.simulated_fleet import CALM, WEATHERS, Batch, Weather
from scripts.command_line.account.plan import make_plan
from scripts.command_line.cost.estimate import image_seconds, preparation_minutes
from scripts.interruption.signals import ends_in_a_sentence
from stacks.facts.instance_types import INSTANCE_TYPES
from userdata.bill.prices import read_prices
from userdata.bill.units import HOURS_PER_MONTH
from userdata.fleet.decision import Offer, Work, find_best, images_of_unit, way_of

REGION, TYPE = "us-east-1", "g6.xlarge"
MAX_HOURS = 12
SEEDS = range(5)


def usual_offer(most: int) -> tuple[Offer, float]:
    """At most so many spot machines of the usual type, and what an hour of one costs on demand.

    The job is the default one, its boot a first one without the cache.
    """
    plan = make_plan(None, {}, {})
    prices = read_prices()
    rates = prices.rates_of(REGION)
    beside = rates.address_hour + plan.machine.volume_size * rates.disk_gb_month / HOURS_PER_MONTH
    spot, regular = prices.hourly(REGION, TYPE, "spot"), prices.hourly(REGION, TYPE, "on-demand")
    assert spot is not None
    assert regular is not None
    offer = Offer(
        instance_type=TYPE,
        market="spot",
        usd_per_hour=spot.usd + beside,
        image_seconds=image_seconds(plan.job, INSTANCE_TYPES[TYPE]),
        boot_seconds=60 * preparation_minutes(plan.job, "install"),
        most=most,
        of_fleet=True,
    )
    return offer, regular.usd + beside


def simulate(images: int, most: int, weather: Weather, *, machines: int | None = None) -> dict[str, Any]:
    """The median and the spread of a batch over the seeds; with `machines`, on so many whatever pays."""
    offer, on_demand = usual_offer(most)
    unit = images_of_unit(offer.image_seconds)
    idle = 60.0 * make_plan(None, {}, {}).machine.idle_minutes
    work = Work(images=images, unit_images=unit, idle_seconds=idle, max_usd=None, end_within=3600.0 * MAX_HOURS)
    way = find_best([offer], work)[0] if machines is None else way_of(offer, work, machines)
    outcomes = [Batch(way, work, weather, on_demand, seed).run() for seed in SEEDS]
    row: dict[str, Any] = {"images": images, "most": most, "weather": weather.name, "machines": way.machines}
    for name in ("ended", "usd", "wasted", "losses", "launches", "units_left"):
        values = [round(getattr(one, name), 4) for one in outcomes]
        row[name] = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return row | {"expected_seconds": way.seconds, "expected_usd": way.usd}


def rows(most_images: int) -> Iterator[dict[str, Any]]:
    """All figures of the page, up to so many images."""
    sizes = [count for exponent in range(7) for count in (10**exponent, 3 * 10**exponent) if count <= most_images]
    for most, images in itertools.product((1, 10, 50, 500), sizes):
        yield {"plot": "sizes"} | simulate(images, most, CALM)
    for machines in (1, 2, 5, 10, 20, 50, 100, 200, 500):
        if min(10_000, most_images) // images_of_unit(usual_offer(1)[0].image_seconds) >= machines:
            yield {"plot": "machines"} | simulate(min(10_000, most_images), machines, CALM, machines=machines)
    for weather, images in itertools.product(WEATHERS, (10_000, 100_000)):
        if images <= most_images:
            yield {"plot": "weather"} | simulate(images, 50, weather)


def main() -> None:
    """Prints a line for each batch, and writes all figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000, help="the largest batch")
    parser.add_argument("--to", type=Path, help="the file for the figures")
    given = parser.parse_args()
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    offer, on_demand = usual_offer(1)
    sys.stdout.write(f"{machine}, seeds {SEEDS.start} to {SEEDS.stop - 1}. {offer}, ${on_demand:.4f} on demand.\n")
    found = []
    for row in rows(given.images):
        found.append(row)
        hours, usd = row["ended"], row["usd"]
        sys.stdout.write(
            f"{row['plot']:9}{row['images']:9,} images{row['machines']:4} of {row['most']:3} machines, "
            f"{row['weather']}: {hours['median'] / 3600:.2f} h ({hours['least'] / 3600:.2f} to "
            f"{hours['most'] / 3600:.2f}), ${usd['median']:.2f} ({usd['least']:.2f} to {usd['most']:.2f}), "
            f"wasted {row['wasted']['median'] / usd['median']:.0%}, {row['units_left']['median']:.0f} units left\n"
        )
    if given.to:
        about = {"machine": machine, "seeds": list(SEEDS), "type": TYPE, "region": REGION, "max_hours": MAX_HOURS}
        given.to.write_text(json.dumps({"about": about, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    with ends_in_a_sentence():
        main()
