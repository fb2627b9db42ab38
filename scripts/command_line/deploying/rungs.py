"""The rungs of the ladder: which types and zones may be tried, in which order. What cannot be is refused here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import boto3
from rich.console import Console

from scripts.command_line.account.instance import instance_state
from scripts.command_line.account.plan import Plan
from scripts.command_line.account.price_list import find_prices, spot_by_zone
from scripts.command_line.account.zones import (
    all_zones,
    check_zone,
    not_offered,
    types_offered,
    usual_zone,
    why_unfit,
)
from scripts.command_line.before.check import Check
from scripts.command_line.before.doctor import NEEDED, examine, refuse_what_blocks
from scripts.command_line.deploying.wish import Wish
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.plain_text import print_plain
from stacks.facts.instance_types import INSTANCE_TYPES

# The checks whose answer depends on the type.
OF_THE_TYPE = ("quota", "price", "spending")
# The check whose answer depends on the zone. Each is tried instead: EC2 refuses a spot instance at no cost.
OF_THE_ZONE = ("spot price",)
OF_ALL = tuple(one for one in NEEDED if one not in (*OF_THE_TYPE, *OF_THE_ZONE))


@dataclass(frozen=True, eq=False)
class Rung:
    """A type in a zone, with the plan that deploys it there, and US dollars an hour, None where nobody states them.

    `is_moved` says that the instance that stands has to be replaced, `runs` that it runs there already.
    """

    plan: Plan
    zone: str
    usd: float | None
    is_moved: bool
    runs: bool

    @property
    def instance_type(self) -> str:
        """The type's name."""
        return self.plan.machine.instance_type

    @property
    def vcpus(self) -> int:
        """What the instance takes of a quota."""
        return INSTANCE_TYPES[self.instance_type].vcpus

    @property
    def price(self) -> str:
        """The price for a table."""
        return "not known" if self.usd is None else f"{self.usd:g}"

    @property
    def text(self) -> str:
        """The rung in a line."""
        price = f"${self.usd:g} an hour" if self.usd is not None else "at a price that is not known"
        return f"{self.instance_type} in {self.zone}, {price}"


def find_rungs(session: boto3.Session, plan: Plan, wish: Wish, *, zone: str | None, console: Console) -> list[Rung]:
    """The rungs for a plan, the cheapest first; `zone` is the only one that may be tried, None for all.

    A spot instance has the price of its zone, where AWS tells it. Where an instance stands, the rungs that keep its
    disk come before those that replace it. Says which types are left out. Raises `CommandError` for a named type that
    may not be tried, and when nothing is left to try.
    """
    wanted = [zone] if zone else all_zones(session)
    usd = _find_usd(session, plan, list(wish.types or INSTANCE_TYPES), wanted)
    names = _fitting(plan, wish, _within(wish, usd))
    unpriced = [] if wish.types else [name for name in INSTANCE_TYPES if not any(name == one for one, _ in usd)]
    if unpriced:
        print_plain(f"Left out, because nobody states a price here: {', '.join(unpriced)}.", console)
    offered = types_offered(session, names)
    zones = {name: [one for one in offered.get(name, []) if one in wanted] for name in names}
    nowhere = [name for name in names if not zones[name]]
    if len(nowhere) == len(names):
        if zone:
            check_zone(session, names[0], zone)
        raise CommandError(not_offered(session, names[0]))
    if nowhere and wish.types:
        print_plain(f"Left out, because it is not offered here: {', '.join(nowhere)}.", console)
    names = _affordable(session, plan, {name: zones[name][0] for name in names if zones[name]}, console)
    home = plan.settings.az or usual_zone(session)
    state = instance_state(session, plan.deployment) if plan.deployment else None
    stands = state is not None and not state.is_gone
    rungs = []
    for name in names:
        for one in zones[name]:
            if not _is_within(wish, usd.get((name, one))):
                continue
            placed = plan.on(name, None if one == home else one)
            deployed = plan.deployment.parameters.get("InstanceType") if plan.deployment else None
            runs = state is not None and state.name in ("pending", "running") and (name, one) == (deployed, home)
            moved = stands and placed.replaces and not plan.replaces
            rungs.append(Rung(placed, one, usd.get((name, one)), is_moved=moved, runs=runs))
    if not rungs:  # the quota leaves out the types whose zone is cheap enough
        raise CommandError(_too_dear(wish), exit_status=2)
    return sorted(rungs, key=lambda rung: _order(rung, home))


def _order(rung: Rung, home: str) -> tuple[bool, bool, float, bool, str]:
    price = float("inf") if rung.usd is None else rung.usd
    return not rung.runs, rung.is_moved, price, rung.zone != home, rung.zone


def _find_usd(
    session: boto3.Session, plan: Plan, names: list[str], zones: list[str]
) -> Mapping[tuple[str, str], float]:
    """US dollars an hour by type and zone, as far as somebody states them."""
    region = session.region_name or ""
    prices = find_prices(session, region, names)
    told = spot_by_zone(session, region, names) if plan.settings.spot else {}
    others = {name: prices[name, plan.life_cycle].usd for name in names if (name, plan.life_cycle) in prices}
    for name, _ in told:
        others.pop(name, None)
    told = {(name, zone): usd for (name, zone), usd in told.items() if zone in zones}
    return {**{(name, zone): usd for name, usd in others.items() for zone in zones}, **told}


def _is_within(wish: Wish, usd: float | None) -> bool:
    return wish.at_most is None or (usd is not None and usd <= wish.at_most)


def _within(wish: Wish, usd: Mapping[tuple[str, str], float]) -> list[str]:
    """The types up to the price in a zone. Raises `CommandError` for a named type above it, and when there is none."""
    if wish.at_most is None:
        return list(wish.types or INSTANCE_TYPES)
    lowest = {name: price for (name, _), price in sorted(usd.items(), key=lambda one: one[1], reverse=True)}
    limit = f"--at-most is {wish.at_most:g}"
    for name in wish.types:
        if name not in lowest:
            raise CommandError(f"{limit}, but no price is known for {name} here: leave one out.", exit_status=2)
        if lowest[name] > wish.at_most:
            raise CommandError(f"{limit}, but an hour of {name} costs ${lowest[name]:g}: leave one out.", exit_status=2)
    names = [name for name in wish.types or INSTANCE_TYPES if _is_within(wish, lowest.get(name))]
    if not names:
        raise CommandError(_too_dear(wish), exit_status=2)
    return names


def _too_dear(wish: Wish) -> str:
    return f"--at-most is {wish.at_most:g}, but no type costs as little here: `sd cost --all` shows them."


def _fitting(plan: Plan, wish: Wish, names: list[str]) -> list[str]:
    """The types that the model fits. Raises `CommandError` for a named type that it does not fit, and without any."""
    unfit: Mapping[str, str] = {name: why for name in names if (why := why_unfit(plan.job, plan.machine, name))}
    if unfit and (wish.types or len(unfit) == len(names)):
        raise CommandError(next(iter(unfit.values())), exit_status=2)
    return [name for name in names if name not in unfit]


def _affordable(session: boto3.Session, plan: Plan, places: Mapping[str, str], console: Console) -> list[str]:
    """The types, of those with a zone of each, that the account's quotas and the plan's limits allow.

    What does not depend on the type is checked once. Raises `CommandError` when no type is left.
    """
    name, place = next(iter(places.items()))
    refuse_what_blocks(session, plan.on(name, place), OF_ALL)
    blocked: dict[str, Check] = {}
    for name in sorted(places, key=lambda name: INSTANCE_TYPES[name].vcpus):
        for check in examine(session, plan.on(name, None), OF_THE_TYPE):
            if check.blocks:
                blocked.setdefault(name, check)
    if len(blocked) == len(places):
        first = next(iter(blocked.values()))
        raise CommandError(
            f"Nothing was deployed, because no type may be tried. {first.name}: {first.found}. "
            f"To mend it: {first.mend}."
        )
    for name, check in blocked.items():
        print_plain(f"Left out {name}. {check.name}: {check.found}.", console, soft_wrap=True)
    return [name for name in places if name not in blocked]
