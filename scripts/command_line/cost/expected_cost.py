"""`sd cost`: what the job will cost on each type, cheapest image first, and what goes on costing afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import boto3
from rich.console import Console
from rich.table import Table

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.instance import instance_state
from scripts.command_line.account.plan import Plan
from scripts.command_line.account.price_list import find_prices
from scripts.command_line.cost.estimate import Estimate, Preparation, estimates, types_to_show
from scripts.command_line.cost.remaining_cost import Remaining, bucket_contents, expected_contents, remaining
from scripts.command_line.documents.money import CostDocument, EstimateRow, RemainingRow
from scripts.command_line.terminal.plain_text import print_plain
from stacks.facts.model_refusal import refusal, volume_need_gib, ways_of
from userdata.bill.prices import read_prices
from userdata.contract.catalogue import find_model
from userdata.contract.layout import BOOTS, CACHE

# Below it a table has its titles folded, and one space between its columns.
WIDE = 100
PREPARATIONS: dict[Preparation, str] = {
    "install": "a new instance, which builds its environment and downloads the weights",
    "cache": "a new instance, which takes environment and weights from the bucket's cache",
    "disk": "the instance that stands, whose disk holds environment and weights",
}


@dataclass(frozen=True)
class ExpectedCost:
    """The estimates for a job in a region, cheapest image first, and what goes on costing.

    `chosen` is the plan's own type and life cycle; `idle` is in minutes. `refused` says why the model does not fit the
    plan's machine, None where it does: the estimates are of types that it fits, with as large a disk as it needs.
    """

    region: str
    images: int
    chosen: tuple[str, str]
    preparation: Preparation
    estimates: list[Estimate]
    idle: float
    remaining: list[Remaining]
    rates_source: str
    refused: str | None


def expect_cost(session: boto3.Session, plan: Plan, *, region: str, live: bool, every: bool) -> ExpectedCost:
    """What the plan will cost. `live` asks AWS for prices; `every` includes all supported types.

    Raises `CommandError` when the bucket of the deployment cannot be read.
    """
    model, machine = find_model(plan.job.model), plan.machine
    refused = refusal(
        model,
        instance_type=machine.instance_type,
        volume_size=machine.volume_size,
        engine=str(plan.job.engine),
        ways=ways_of(plan.job),
    )
    disk = max(machine.volume_size, volume_need_gib(model))
    plan = dataclasses.replace(plan, machine=machine.model_copy(update={"volume_size": disk}))
    types = types_to_show(plan.machine.instance_type, every=every)
    prices = find_prices(session if live else None, region, types, az=plan.settings.az)
    rates = read_prices().rates_of(region)
    preparation = _preparation(session, plan)
    bucket = plan.deployment.outputs.get("ResultsBucket") if plan.deployment else None
    s3 = session.client("s3", config=RETRIES, region_name=region) if bucket else None
    contents = bucket_contents(s3, bucket) if s3 and bucket else expected_contents(plan)
    return ExpectedCost(
        region=region,
        images=plan.images_total,
        chosen=(plan.machine.instance_type, plan.life_cycle),
        preparation=preparation,
        estimates=estimates(plan, prices, rates, preparation=preparation, types=types),
        idle=float(plan.machine.idle_minutes),
        remaining=remaining(plan, rates, contents),
        rates_source=rates.source,
        refused=refused,
    )


def _preparation(session: boto3.Session, plan: Plan) -> Preparation:
    deployment = plan.deployment
    if deployment is None or "InstanceId" not in deployment.outputs:
        return "install"
    gone = instance_state(session, deployment).is_gone
    s3 = session.client("s3", config=RETRIES)
    if not (gone or plan.replaces):
        booted = s3.list_objects_v2(Bucket=deployment.bucket, Prefix=f"{BOOTS}{deployment.instance_id}/", MaxKeys=1)
        return "disk" if booted.get("Contents") else "install"
    cached = s3.list_objects_v2(Bucket=deployment.bucket, Prefix=CACHE, MaxKeys=1)
    return "cache" if cached.get("Contents") else "install"


def show_expected(cost: ExpectedCost, console: Console) -> None:
    """Prints the table of types, what goes on costing, and what the figures rest on. The plan's own type is marked."""
    print_plain(f"{cost.images} images in {cost.region}, on {PREPARATIONS[cost.preparation]}.", console)
    shown = [one for one in cost.estimates if not one.price.at_most]
    rows = []
    for one in shown:
        mark = " *" if (one.instance_type.name, one.life_cycle) == cost.chosen else ""
        draw = _number(one.generate, 1) + (" ~" if one.projected and one.generate is not None else "")
        rows.append(
            (
                one.instance_type.name + mark,
                one.instance_type.gpu.name,
                one.life_cycle,
                f"{one.price.usd:.4g}",
                _number(one.prepare, 1),
                draw,
                _number(one.usd, 3),
                _number(one.usd_per_1000_images, 2),
            )
        )
    table = _of_types(rows, console.width)
    console.print(table)
    print_plain("What remains when nothing runs:", console)
    left = Table("when", "what", box=None, pad_edge=False)
    left.add_column("$ a month", justify="right")
    for line in cost.remaining:
        left.add_row(line.when, line.what, f"{line.usd_per_month:.2f}")
    console.print(left)
    for note in _notes(cost):
        print_plain(note, console)


def _of_types(rows: Sequence[Sequence[str]], width: int) -> Table:
    """The table of types. Where it is narrow its titles are folded, and no figure is cut off."""
    table = Table(box=None, pad_edge=False, collapse_padding=width < WIDE)
    for title in ("type", "card", "billed"):
        table.add_column(title, no_wrap=True)
    for place, title in enumerate(("$/h", "min to prepare", "min to draw", "$ the run", "$ per 1,000"), 3):
        longest = max((len(row[place]) for row in rows), default=0)
        table.add_column(title, justify="right", min_width=max(longest, *map(len, title.split())))
    for row in rows:
        table.add_row(*row)
    return table


def _notes(cost: ExpectedCost) -> list[str]:
    sources = sorted({one.price.source for one in cost.estimates})
    notes = [f"`sd deploy` would refuse this as it is. {cost.refused}"] if cost.refused else []
    notes += [f"Prices: {'; '.join([*sources, cost.rates_source])}."]
    if not sources:
        notes.append(f"No price of an instance is known for {cost.region}, so that no run is estimated.")
    unknown = [one.instance_type.name for one in cost.estimates if one.price.at_most]
    if unknown:
        notes.append(
            f"No spot price is known here for {', '.join(unknown)}; a spot price is never above the on-demand price."
        )
    keep = max((one.keep for one in cost.estimates), default=0)
    kept = f" and {keep:.1f} minutes of writing the cache, once" if keep else ""
    notes.append(
        f"* marks what this would deploy. A run includes {cost.idle:g} idle minutes after the last image{kept}."
    )
    here = [one for one in cost.estimates if (one.instance_type.name, one.life_cycle) == cost.chosen and one.projected]
    rests = "".join(f"; on the {one.instance_type.gpu.name} it is {one.basis.partition(': ')[2]}" for one in here)
    notes.append(
        f"Minutes are estimates, never measured on AWS; ~ marks a projected speed (docs/cost.md){rests}. A run "
        "uses one card, so larger types with the same card draw no faster: --all shows them."
    )
    return notes


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def expected_document(cost: ExpectedCost) -> CostDocument:
    """The costs, for programs; times in minutes, money in US dollars."""
    rows = [
        EstimateRow(
            instance_type=one.instance_type.name,
            card=one.instance_type.gpu.name,
            life_cycle=one.life_cycle,
            usd_per_hour=one.price.usd,
            at_most=one.price.at_most,
            price_source=one.price.source,
            prepare_minutes=one.prepare,
            generate_minutes=one.generate,
            idle_minutes=one.idle,
            keep_minutes=one.keep,
            usd=one.usd,
            usd_per_1000_images=one.usd_per_1000_images,
            basis=one.basis,
        )
        for one in cost.estimates
    ]
    left = [RemainingRow(**dataclasses.asdict(line)) for line in cost.remaining]
    return CostDocument(region=cost.region, images=cost.images, estimates=rows, remaining=left, refused=cost.refused)
