"""`sd cost --actual`: what the runs in a bucket cost, by the receipts in their reports."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from scripts.command_line.account.objects import read_if_possible
from scripts.command_line.account.runs import Run
from scripts.command_line.documents.money import ActualCostDocument, RunCostRow
from scripts.command_line.terminal.plain_text import cell, print_plain
from userdata.bill.cost import Cost
from userdata.contract.layout import RunKeys
from userdata.contract.outside import read_json

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOT_IN_IT = (
    "Not included: boots that failed or had nothing to do, attempts that ended without a report, idle minutes, the "
    "disk of a stopped instance, the bucket itself, and taxes. Cost Explorer shows what AWS bills, about a day later."
)


@dataclass(frozen=True)
class RunCost:
    """A run and its cost, which is None where the run's report has no receipt. That of a batch has no attempts."""

    run: Run
    cost: Cost | None


def read_costs(s3: S3Client, bucket: str, runs: list[Run]) -> list[RunCost]:
    """The receipts of those runs, and what the machines of batches told. Raises `CommandError`."""
    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(lambda run: read_if_possible(s3, bucket, RunKeys(run.run_id).report), runs))
    return [RunCost(run, run.cost or _receipt(report)) for run, report in zip(runs, reports, strict=True)]


def _receipt(report: bytes | None) -> Cost | None:
    try:
        return Cost.model_validate(read_json(report)["cost"]) if report else None
    except (ValueError, KeyError, TypeError, ValidationError):
        return None


def total_usd(costs: list[RunCost]) -> float:
    """The known costs together, in US dollars."""
    return round(sum(one.cost.usd for one in costs if one.cost), 6)


def show_costs(costs: list[RunCost], console: Console) -> None:
    """Prints a line for each run, the sum, and what the sum leaves out."""
    table = Table("Run", "Started (UTC)", "Attempts", "Images", box=None, pad_edge=False)
    table.columns[0].overflow = "fold"
    table.add_column("$", justify="right")
    table.add_column("$ an image", justify="right")
    for one in costs:
        table.add_row(cell(one.run.run_id), cell(one.run.started_at[:16].replace("T", " ") or "-"), *_figures(one.cost))
    table.add_section()
    table.add_row("all", "", "", str(sum(one.cost.images for one in costs if one.cost)), f"{total_usd(costs):.4f}", "")
    console.print(table)
    receipts = [receipt for one in costs if one.cost for receipt in one.cost.attempts]
    if any(receipt.at_most for receipt in receipts):
        print_plain(
            "Spot attempts whose price is not known count at the on-demand price, which is an upper bound.", console
        )
    for source in sorted({receipt.source for receipt in receipts}):
        print_plain(f"Prices: {source}.", console)
    unknown = sum(one.cost is None for one in costs)
    if unknown:
        print_plain(
            f"{unknown} without a receipt: drawn on a CPU, never finished, or on a type without a price.", console
        )
    print_plain(NOT_IN_IT, console)


def _figures(cost: Cost | None) -> tuple[str, str, str, str]:
    if cost is None:
        return "-", "-", "not known", "-"
    per_image = "-" if cost.usd_per_image is None else f"{cost.usd_per_image:.4f}"
    return str(len(cost.attempts) or "-"), str(cost.images), f"{cost.usd:.4f}", per_image


def costs_document(costs: list[RunCost]) -> ActualCostDocument:
    """The costs, for programs."""
    runs = [RunCostRow(run_id=one.run.run_id, cost=one.cost) for one in costs]
    return ActualCostDocument(usd=total_usd(costs), runs=runs, not_in_it=NOT_IN_IT)
