"""Shows how far a batch is: as a display of 80 columns, as a line, and as JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table

from scripts.command_line.account.runs import Run
from scripts.command_line.batches.progress import BatchRun, Machine, Progress
from scripts.command_line.documents.document import Document
from scripts.command_line.documents.runs import (
    BatchDocument,
    BatchRow,
    ImageCount,
    MachineRow,
    RunDocument,
    RunRow,
    UnitCount,
)
from scripts.command_line.results.fetch_results import run_row
from scripts.command_line.terminal.plain_text import cell, printable

# A display that is higher than a terminal flickers.
MOST_SHOWN = 12
MOST_WHY = 300


def display(progress: Progress) -> RenderableType:
    """What a person at a terminal sees."""
    parts: list[RenderableType] = [cell(f"{progress.run_id}: {progress.batch.title}", "bold")]
    parts.append(ProgressBar(total=progress.batch.images, completed=progress.images_done, width=78))
    parts += [cell(line) for line in (_far(progress), _money(progress), why(progress)) if line]
    if progress.machines:
        parts.append(_machines(progress))
    if hidden := len(progress.machines) - MOST_SHOWN:
        parts += [cell(f"... and {hidden} more machines.")] if hidden > 0 else []
    return Group(*parts)


def line(progress: Progress) -> str:
    """The same in a line, for a file or a pipe."""
    words = [f"{progress.run_id}: {_far(progress)}", _money(progress), why(progress)]
    return printable(" ".join(word for word in words if word))


def _far(progress: Progress) -> str:
    counts, batch = progress.counts, progress.batch
    failed = f", {counts.failed:,} failed" if counts.failed else ""
    rate = f", {progress.images_a_minute:.3g} images a minute" if progress.state == "works" else ""
    left = f", {in_words(progress.left)} left" if progress.left is not None else ""
    return (
        f"{progress.state}: {progress.images_done:,} of {batch.images:,} images "
        f"({counts.done:,} of {batch.units:,} units{failed}){rate}{left}."
    )


def _money(progress: Progress) -> str:
    if not progress.machines:
        return ""
    limit = f" of ${progress.batch.max_usd:.2f} (--max-usd)" if progress.batch.max_usd is not None else ""
    if progress.state == "done":
        return f"Cost: {progress.usd_in_words}{limit}."
    now = progress.live_in_words if progress.live else "no machine is at work"
    return f"Cost so far: {progress.usd_in_words}{limit}; {now}."


def why(progress: Progress) -> str:
    """Why the batch stands as it does, in a sentence; empty while it works and nothing is odd."""
    control = progress.control
    said = ""
    if progress.state in ("paused", "cancelled", "capped") and control:
        said = f"It was {progress.state} at {_hour(control.at)} UTC by {control.by}. {control.why}".rstrip()
    elif progress.state == "interrupted":
        said = "Its stack was deleted, and its queue with it. What is drawn stays in the bucket."
    elif progress.state == "stuck" and not progress.is_closed:
        said = "No message in the queue asks for it, and no machine works on it."
        if progress.nobody_comes:
            said = "Its messages wait, but the instance does not run, and nothing starts a machine for them."
    elif progress.state == "waits":
        said = f"It begins at {_hour(progress.begins_at)} UTC." if progress.begins_at else "It waits for a machine."
    if progress.failure:
        said += f" The first unit that failed: {progress.failure}"
    if progress.unreadable:
        said += f" What {progress.unreadable} machines tell cannot be read, and is not counted."
    if progress.trouble and progress.state in ("waits", "works", "stuck"):
        said = f"{progress.trouble} {said}" if progress.state == "works" else progress.trouble
    return said.strip()[:MOST_WHY]


def _machines(progress: Progress) -> Table:
    table = Table("Machine", "Type", "Market", "$ an hour", "Units", "Images", "Last", box=None, pad_edge=False)
    for column in table.columns[3:6]:
        column.justify = "right"
    for machine in progress.machines[:MOST_SHOWN]:
        share = machine.share
        price = "-" if share.usd_per_hour is None else f"{share.usd_per_hour:.4g}"
        name, kind, market = (cell(text) for text in (share.instance_id, share.instance_type, share.life_cycle))
        table.add_row(
            name, kind, market, price, f"{share.units:,}", f"{share.images:,}", cell(_last(machine, progress))
        )
    return table


def _last(machine: Machine, progress: Progress) -> str:
    if machine.is_live(progress.now):
        return "works"
    if machine.ec2 and machine.ec2 != "running":
        return machine.ec2
    return f"{in_words(progress.now - machine.share.updated_at)} ago"


def in_words(length: timedelta) -> str:
    """`40 s`, `12 min`, `3 h 20 min`."""
    seconds = max(0, round(length.total_seconds()))
    if seconds < 90:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _hour(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


def document_of(run: Run) -> Document:
    """A run or a batch as a document of its own."""
    row = row_of(run)
    kind = BatchDocument if isinstance(row, BatchRow) else RunDocument
    return kind.model_validate(row.model_dump())


def row_of(run: Run) -> RunRow | BatchRow:
    """A run or a batch as a row of a document."""
    return batch_row(run.progress) if isinstance(run, BatchRun) and run.progress else run_row(run)


def batch_document(progress: Progress) -> BatchDocument:
    """A batch as a document of its own."""
    return BatchDocument.model_validate(batch_row(progress).model_dump())


def batch_row(progress: Progress) -> BatchRow:
    """How far a batch is, for programs."""
    batch, counts = progress.batch, progress.counts
    return BatchRow(
        run_id=progress.run_id,
        title=batch.title,
        by=batch.by,
        asked_at=batch.asked_at,
        looked_at=progress.now,
        state=progress.state,
        why=why(progress),
        images=ImageCount(done=progress.images_done, total=batch.images),
        units=UnitCount(done=counts.done, failed=counts.failed, total=batch.units),
        images_per_minute=round(progress.images_a_minute, 2),
        seconds_left=None if progress.left is None else round(progress.left.total_seconds()),
        usd=round(progress.usd, 6),
        usd_at_most=round(progress.usd_at_most, 6),
        usd_is_incomplete=progress.usd_unknown,
        usd_per_hour=round(progress.usd_per_hour, 6),
        max_usd=batch.max_usd,
        machines=[
            MachineRow(
                **machine.share.model_dump(),
                state="works" if machine.is_live(progress.now) else machine.ec2 or "unknown",
            )
            for machine in progress.machines
        ],
    )
