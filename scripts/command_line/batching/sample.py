"""The sample of a batch: a few images, spread over the file, that are drawn and looked at before the rest."""

from __future__ import annotations

import time

from rich.console import Console

from scripts.command_line.batching.hand_in import Bucket
from scripts.command_line.terminal.command_error import CommandError
from userdata.batch.documents import Batch
from userdata.contract.layout import RunKeys

POLL_SECONDS = 5.0


def spread(images: int, wanted: int) -> frozenset[int]:
    """The numbers of `wanted` of so many images, at even distances, the first one among them."""
    return frozenset(place * images // min(wanted, images) for place in range(min(wanted, images)))


def follow_sample(bucket: Bucket, batch: Batch, console: Console) -> None:
    """Waits until every unit of part 0 is drawn or has failed. Raises `CommandError` when machines may not draw it."""
    keys = RunKeys(batch.run_id)
    units = batch.parts[0].units
    with console.status("Waits for the sample") as status:
        while True:
            done, failed = (bucket.count(f"{prefix}0-") for prefix in (keys.units_done, keys.units_failed))
            if done + failed >= units:
                break
            standing = bucket.find(batch.run_id)
            if standing and standing.control and standing.control.state != "go":
                raise CommandError(
                    f"Batch {batch.run_id} is {standing.control.state}. {standing.control.why} Its sample is not "
                    f"complete; `sd watch {batch.run_id}` shows it."
                )
            status.update(f"Waits for the sample: {done} of {units} units")
            time.sleep(POLL_SECONDS)
    if failed:
        raise CommandError(
            f"{failed} of {units} units of the sample failed, so the rest is not released. `sd watch {batch.run_id}` "
            "says why."
        )
