"""The sample of a batch: a few images, spread over the file, that are drawn and looked at before the rest."""

from __future__ import annotations

import time

import boto3
from rich.console import Console

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.batches.around import look_around, looker_of
from scripts.command_line.batches.progress import AT_REST
from scripts.command_line.batches.show import why
from scripts.command_line.batching.hand_in import Bucket
from scripts.command_line.terminal.command_error import CommandError
from userdata.batch.documents import Batch
from userdata.contract.layout import RunKeys

POLL_SECONDS = 5.0


def follow_sample(
    session: boto3.Session, deployment: Deployment, bucket: Bucket, batch: Batch, console: Console
) -> None:
    """Waits until every unit of part 0 is drawn or has failed. Raises `CommandError` where one failed or none comes."""
    keys, units = RunKeys(batch.run_id), batch.parts[0].units
    looker = looker_of(session, bucket.name, batch.run_id)
    with console.status("Waits for the sample") as status:
        while True:
            done, failed = (bucket.count(f"{prefix}0-") for prefix in (keys.units_done, keys.units_failed))
            if failed:
                raise CommandError(
                    f"{failed} of {units} units of the sample failed, so the rest is not released. "
                    f"`sd watch {batch.run_id}` says why."
                )
            if done >= units:
                return
            progress = look_around(session, deployment, looker.look())
            if progress.state in (*AT_REST, "paused"):
                raise CommandError(
                    f"The sample is not complete, and {batch.run_id} is {progress.state}. {why(progress) or ''} "
                    f"`sd watch {batch.run_id}` shows it."
                )
            status.update(f"Waits for the sample: {done} of {units} units. {progress.trouble or ''}")
            time.sleep(POLL_SECONDS)
