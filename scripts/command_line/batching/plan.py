"""Plans a batch: reads the file, names the run, and looks whether it stands already. Nothing is written."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO

import boto3

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.account.plan import Plan
from scripts.command_line.batching.hand_in import Bucket, Standing
from scripts.command_line.batching.jobs import Jobs
from scripts.command_line.batching.read import Images
from scripts.command_line.batching.refusals import RowError
from scripts.command_line.batching.rows import read_rows
from scripts.command_line.batching.spool import Spool
from scripts.command_line.batching.wish import Wish
from scripts.command_line.cost.estimate import image_seconds
from scripts.command_line.deploying.local_files import digest_of
from scripts.command_line.terminal.command_error import CommandError
from stacks.facts.instance_types import INSTANCE_TYPES
from userdata.contract.run_name import slug


@dataclasses.dataclass(frozen=True)
class Planned:
    """A batch that can be drawn: its name, its images, and `standing`, the same batch where it is handed in already.

    `plan` and `weight` are what the ways are found by: the job that takes the most work, and how many such images are
    as much work as the whole.
    """

    run_id: str
    title: str
    spool: Spool
    jobs: Jobs
    standing: Standing | None
    plan: Plan
    weight: int
    told: tuple[str, ...]


def plan_batch(
    session: boto3.Session, deployment: Deployment, bucket: Bucket, wish: Wish, given: Mapping[str, str], spool: Spool
) -> Planned:
    """Reads the file into `spool`. Raises `CommandError`, for misuse where a row cannot be used."""
    standing = _reserve(bucket, wish.add, spool) if wish.add else None
    jobs = Jobs(session, deployment, given)
    images = Images(jobs, spool, wish.cells, jobs.seed)
    with _opened(wish) as file:
        images.read(lambda refusals: read_rows(file, wish.form, refusals), wish.title)
    title = images.first_prompt if wish.is_standard_input else PurePath(wish.file).stem
    name = hashlib.sha256(f"{spool.digest} {given.get('RunId', '')}".encode()).hexdigest()[:10]
    run_id = wish.add or f"{slug(title)}-{name}"
    plan, weight = _weigh(spool, jobs.plan)
    return Planned(
        run_id=run_id,
        title=title[:2000],
        spool=spool,
        jobs=jobs,
        standing=standing or bucket.find(run_id),
        plan=plan,
        weight=weight,
        told=(*images.told, *jobs.told),
    )


@contextmanager
def _opened(wish: Wish) -> Iterator[BinaryIO]:
    if wish.is_standard_input:
        if sys.stdin is None:
            raise CommandError("Standard input is closed. Name a file. Nothing was queued.", exit_status=2)
        yield sys.stdin.buffer
        return
    try:
        file = Path(wish.file).open("rb")  # noqa: SIM115  # `with` would take errors of reading rows for its own
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "that is no name of a file"
        raise CommandError(f"{wish.title} cannot be read: {why}. Nothing was queued.", exit_status=2) from error
    with file:
        yield file


def _reserve(bucket: Bucket, run_id: str, spool: Spool) -> Standing:
    """The batch that gets another part, whose names no row of that may have. Raises `CommandError` for no batch."""
    standing = bucket.find(run_id)
    if standing is None:
        raise CommandError(
            f"There is no batch {run_id} in {bucket.name}. `sd results --list` shows the runs.", exit_status=2
        )
    for unit in bucket.units_of(standing.batch):
        for image in unit.images:
            if image.name is not None:
                try:
                    spool.take_name(image.name, None)
                except RowError:  # the file is the person's own
                    continue
    spool.first = standing.batch.images
    return standing


def _weigh(spool: Spool, plan: Plan) -> tuple[Plan, int]:
    kind = INSTANCE_TYPES[plan.machine.instance_type]
    heaviest, most, total, images = plan.job, 0.0, 0.0, 0
    seconds_of_heaviest: float | None = None
    for group in spool.groups():
        seconds = image_seconds(group.job, kind)
        work = group.images * (seconds or 1.0)
        total += work
        images += group.images
        if work > most:
            heaviest, most, seconds_of_heaviest = group.job, work, seconds
    weight = math.ceil(total / seconds_of_heaviest) if seconds_of_heaviest else images
    return dataclasses.replace(plan, job=heaviest), weight


def refuse_changed(files: Mapping[str, Path]) -> None:
    """Raises `CommandError` for a file that has changed while a person read the ways."""
    for key, file in files.items():
        if digest_of(file)[:8] not in key:
            raise CommandError(
                f"{file} has changed since it was looked at. Nothing was queued. Give the command again."
            )


@contextmanager
def disk_errors_in_words() -> Iterator[None]:
    """Turns an error of this computer's disk into a sentence. Raises `CommandError`."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise CommandError(
            f"The file cannot be read to its end, or there is no room for temporary files in {tempfile.gettempdir()}: "
            f"{error}. Mend that, and give the same command again."
        ) from error
