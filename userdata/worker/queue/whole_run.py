"""Does a run with a job of its own, which a message asks for."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping

from userdata.contract.layout import RunKeys
from userdata.job.run_error import RunError
from userdata.worker.batch.ended import Ended
from userdata.worker.between.task import Draws
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.process.settings import Settings
from userdata.worker.queue.queued_job import failure_of, parameters_of
from userdata.worker.run.run import Outcome, Queued, do_run, refuse_run


def do_whole_run(
    settings: Settings,
    deployed: Mapping[str, str],
    stop: threading.Event,
    *,
    idle_seconds: float,
    bucket: Bucket,
    loaded: Draws,
    queued: Queued,
) -> Ended:
    """An attempt at the run `queued`, as `do_run` does it, on a machine with the `deployed` parameters."""
    run_id = queued.run_id
    try:
        parameters = parameters_of(bucket, run_id, deployed)
    except RunError as error:
        return Ended(refuse_run(settings, bucket, run_id, error))
    outcome = do_run(settings, parameters, stop, idle_seconds=idle_seconds, bucket=bucket, loaded=loaded, queued=queued)
    if outcome is Outcome.DONE:
        # All of it is in the bucket, and the disk must last for many runs.
        shutil.rmtree(settings.state_directory / RunKeys(run_id).prefix, ignore_errors=True)
    again = outcome is Outcome.BROKE_AGAIN
    return Ended(outcome, failure_of(bucket, run_id) if again else "", sets_aside=again)
