"""Where the proof runs, and what that costs: the cheapest types and the zones of a region, by the dated prices."""

from __future__ import annotations

from dataclasses import dataclass

import boto3

from scripts.command_line.account.zones import choose_zone, types_offered, usual_zone
from scripts.command_line.cost.estimate import preparation_minutes
from scripts.command_line.terminal.command_error import CommandError
from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.machine_parameters import MachineParameters
from userdata.bill.prices import read_prices
from userdata.bill.units import HOURS_PER_MONTH
from userdata.job.job import Job

# What a new account asks for first, and what every family's smallest type has.
VCPUS = 4
# The stack's name. It is always the same, so that the next call finds in the account what a killed one has left; and no
# person gives this name to a stack of their own.
STACK = "SdProof-7c1f20"
JOB = Job(model="demo")


@dataclass(frozen=True)
class Place:
    """A region, its two cheapest types, and two zones. `az` is the setting with which the first type is offered.

    `other_type` is offered in the first zone, `other_zone` offers the first type; None where there is none.
    """

    region: str
    type: str
    other_type: str | None
    az: str | None
    other_zone: str | None

    def words(self) -> dict[str, str]:
        """What the steps name, by the names in their braces; without what the region does not have."""
        price = read_prices().hourly(self.region, self.type, "on-demand")
        words = {
            "type": self.type,
            "price": f"${price.usd:g}" if price else None,
            "card": INSTANCE_TYPES[self.type].gpu.name,
            "minutes": f"{preparation_minutes(JOB, 'install'):.0f} min",
            "cached_minutes": f"{preparation_minutes(JOB, 'cache'):.0f} min",
            "other_type": self.other_type,
            "other_zone": self.other_zone,
        }
        return {name: value for name, value in words.items() if value}

    @property
    def context(self) -> dict[str, str]:
        """The settings of every deploy."""
        return {"stack": STACK, **({"az": self.az} if self.az else {})}


def choose_place(session: boto3.Session, wanted_type: str | None = None) -> Place:
    """The place with the cheapest types that the session's region offers. Raises `CommandError` when it has none."""
    region = session.region_name or ""
    known = cheapest_types(region)
    if wanted_type and wanted_type not in known:
        rule = f"a type of {VCPUS} vCPUs whose price in {region} is known ({', '.join(known) or 'none is'})"
        raise CommandError(f"--type {wanted_type}: it must be {rule}.", exit_status=2)
    offered = types_offered(session, known) if known else {}
    cheapest = sorted((name for name in known if name in offered), key=lambda name: name != wanted_type)
    if not cheapest:
        raise CommandError(f"No small GPU type of {region} has a known price. Set AWS_REGION, for example us-east-1.")
    first = cheapest[0]
    az = choose_zone(session, first)
    zone = az or usual_zone(session)
    return Place(
        region=region,
        type=first,
        other_type=next((name for name in cheapest[1:] if zone in offered[name]), None),
        az=az,
        other_zone=next((name for name in offered[first] if name != zone), None),
    )


def cheapest_types(region: str) -> list[str]:
    """The smallest types with a known price, the cheapest first."""
    priced = {one.name: hourly(region, one.name) for one in INSTANCE_TYPES.values() if one.vcpus <= VCPUS}
    found = {name: usd for name, usd in priced.items() if usd}
    return sorted(found, key=lambda name: found[name])


def hourly(region: str, instance_type: str) -> float | None:
    """US dollars for an hour of the type on demand, with its address and its disk; None without a known price."""
    price = read_prices().hourly(region, instance_type, "on-demand")
    rates = read_prices().rates_of(region)
    disk = MachineParameters().volume_size * rates.disk_gb_month / HOURS_PER_MONTH
    return price.usd + rates.address_hour + disk if price else None
