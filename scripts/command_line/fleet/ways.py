"""The ways to draw a batch: how many machines of which type in which market, how long they take, what that costs."""

from __future__ import annotations

from collections.abc import Sequence

import boto3
from rich.console import Console
from rich.table import Table

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.account.plan import Plan
from scripts.command_line.account.zones import why_unfit
from scripts.command_line.fleet.group import Group, read_group
from scripts.command_line.fleet.offers import fleet_offers, instance_offer
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.plain_text import cell, print_plain
from userdata.fleet.decision import Offer, Way, Work, find_best, images_of_unit, way_of


def find_ways(
    session: boto3.Session,
    deployment: Deployment,
    plan: Plan,
    images: int,
    *,
    max_usd: float | None = None,
    machines: int | None = None,
) -> list[Way]:
    """The ways to draw `images` images of the plan's job on the machines of the deployment, the best one first.

    Without a fleet there is one way, the instance. `machines` asks for a number of them, None for as many as pay.
    Raises `CommandError` where there is no machine to draw on, not that many, and where `max_usd` pays for none.
    """
    group = read_group(session, deployment)
    offers = [offer for offer in [instance_offer(session, deployment, plan)] if offer]
    if group:
        _refuse_small_cards(plan, group)
        offers += fleet_offers(session, deployment, plan, group)
    if not any(offer.most for offer in offers):
        raise CommandError(_no_machine(deployment, group))
    work = Work(
        images=images,
        unit_images=images_of_unit(_slowest(offers)),
        idle_seconds=60.0 * plan.machine.idle_minutes,
        max_usd=max_usd,
        end_within=3600.0 * plan.machine.max_hours,
        machines=machines,
    )
    most = max(offer.most for offer in offers)
    if machines is not None and min(machines, work.units) > most:
        raise CommandError(
            f"--machines is {machines}, but there can be at most {most}: the instance, or what `-c fleet=N` and the "
            "vCPU quota leave (`sd quota status`; --spot for spot).",
            exit_status=2,
        )
    ways = find_best(offers, work)
    if not ways:
        raise CommandError(
            _too_dear([way_of(offer, work, machines or 1) for offer in offers if offer.most], max_usd), exit_status=2
        )
    return ways


def _refuse_small_cards(plan: Plan, group: Group) -> None:
    """Raises `CommandError` where EC2 might give the fleet a machine that the model does not fit."""
    for name in group.types:
        if why := why_unfit(plan.job, plan.machine, name):
            raise CommandError(
                f"The fleet may have {name}. {why} Deploy it with other types: `sd deploy -c fleet_types=TYPE,TYPE`."
            )


def _no_machine(deployment: Deployment, group: Group | None) -> str:
    if group is None:
        return (
            f"The instance {deployment.instance_id} was terminated, so there is no machine to draw on. `sd deploy` "
            "makes a new one in its place."
        )
    return (
        f"There is no machine to draw on: the vCPU quota leaves the fleet none of {', '.join(group.types)}. "
        "`sd quota status` shows the quota, and `sd quota request` asks for more; each takes --spot."
    )


def _too_dear(ways: Sequence[Way], max_usd: float | None) -> str:
    priced = [way for way in ways if way.offer.usd_per_hour is not None]
    if not priced:
        return (
            f"What {ways[0].offer.instance_type} costs an hour is not known here, so that nothing keeps it below "
            "--max-usd. Leave that out, or deploy with the price: `sd deploy --usd-per-hour 1.006`."
        )
    cheapest = min(priced, key=lambda way: way.usd or 0)
    if cheapest.usd is None:
        return (
            f"{max_usd:g} dollars do not pay for the boot of a machine and its idle minutes "
            f"({cheapest.offer.instance_type}). Raise --max-usd."
        )
    return (
        f"{max_usd:g} dollars pay for no way to draw these images: the cheapest, "
        f"{cheapest.machines} {cheapest.offer.instance_type}, costs about "
        f"${cheapest.usd or 0:.2f}. Raise --max-usd, or draw fewer images."
    )


def chosen_of(ways: Sequence[Way]) -> Way:
    """The way that is taken."""
    return next(way for way in ways if way.chosen)


def _slowest(offers: Sequence[Offer]) -> float | None:
    return max((offer.image_seconds for offer in offers if offer.image_seconds is not None), default=None)


def print_ways(ways: Sequence[Way], console: Console) -> None:
    """A table of the ways, the chosen one marked, and what its figures rest on."""
    table = Table("", "type", "market", box=None, pad_edge=False)
    for title in ("machines", "hours", "$"):
        table.add_column(title, justify="right")
    table.add_column("where")
    for way in ways:
        table.add_row(
            "*" if way.chosen else "",
            cell(way.offer.instance_type),
            way.offer.market,
            str(way.machines),
            "-" if way.hours is None else f"{way.hours:.2f}",
            "-" if way.usd is None else f"{way.usd:.2f}",
            "the fleet" if way.offer.of_fleet else "the instance",
        )
    console.print(table)
    for note in _notes(ways):
        print_plain(note, console)


def _notes(ways: Sequence[Way]) -> list[str]:
    notes = ["Hours and dollars are estimates; they include the boots, and dollars the idle minutes too."]
    if any(way.offer.of_fleet for way in ways):
        notes.append(
            "EC2 picks a fleet's types by price and free capacity, so that what comes lies between the fleet's lines."
        )
    if not any(way.ends_in_time for way in ways):
        notes.append("No way ends within MaxHours, which ends the machines. What is not drawn by then can be resumed.")
    if any(way.offer.at_most for way in ways):
        notes.append("Where no spot price is known, the on-demand price counts, which is an upper bound.")
    if any(way.hours is None for way in ways):
        notes.append("No speed is known for a line with a dash, so one machine is taken.")
    return notes
