"""What a batch that stands already lets a command do with it. Nothing is written here."""

from __future__ import annotations

import boto3

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.batching.plan import Planned
from scripts.command_line.batching.wish import Wish
from scripts.command_line.fleet.at import planned_for
from scripts.command_line.terminal.command_error import CommandError
from userdata.batch.documents import Batch


def refuse_stopped(planned: Planned, wish: Wish) -> None:
    """Raises `CommandError` for a batch whose units machines would pass over, or that no schedule can release."""
    parts = len(planned.standing.batch.parts) if planned.standing else 1
    if planned.standing and not wish.add and wish.sample is not None:
        _refuse_other_sample(planned.standing.batch, wish.sample)
    if wish.at and parts > 1 and not wish.add:
        raise CommandError(f"Batch {planned.run_id} has {parts} parts, but --at releases one. Leave --at out.")
    control = planned.standing.control if planned.standing else None
    if control and control.state == "cancelled":
        raise CommandError(
            f"Batch {planned.run_id} was cancelled, so that nothing of it is drawn. For another one: --run-id NAME."
        )
    if control and control.state != "go":
        raise CommandError(f"Batch {planned.run_id} is {control.state}. Let it go on: `sd resume {planned.run_id}`.")


def _refuse_other_sample(batch: Batch, sample: int) -> None:
    """Raises `CommandError` where the parts of a batch that stands are not those of the sample."""
    first = batch.parts[0].images
    if sample < batch.images if len(batch.parts) == 1 else sample != first:
        was = f"with --sample {first}" if len(batch.parts) > 1 else "without a sample"
        raise CommandError(
            f"Batch {batch.run_id} is there already, {was}, so that --sample {sample} cannot be drawn of it. Nothing "
            "was queued. Leave --sample out, or give --run-id NAME for another batch.",
            exit_status=2,
        )


def refuse_second_plan(session: boto3.Session, deployment: Deployment, run_id: str) -> None:
    """Raises `CommandError` for a batch that is planned already, because one schedule releases one part."""
    if due := planned_for(session, deployment, run_id):
        raise CommandError(
            f"Batch {run_id} is planned for {due:%Y-%m-%d %H:%M} UTC, and another --at would take the place of that. "
            f"Nothing was queued. Leave --at out, or let it begin: `sd resume {run_id}`."
        )
