"""The notes of how often work has failed: read before an attempt, and on the disk while the attempt lasts."""

from __future__ import annotations

import logging
from collections.abc import Callable

from userdata.contract.layout import Folders
from userdata.contract.tries import Tries, read_tries
from userdata.worker.batch.ended import Ended
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.process.settings import Settings
from userdata.worker.queue.queues import Message
from userdata.worker.run.run import Outcome

logger = logging.getLogger(__name__)


def tries_before(bucket: Bucket, message: Message) -> Tries:
    """How often the work of `message` has failed so far. Only a message that was received before can have failed.

    Raises `ValueError`, with a sentence, for a message that points at nothing, and botocore's errors.
    """
    tries = Tries(message.body, message.name)
    key = tries.key
    told = read_tries(bucket.get(key)) if message.receives > 1 else None
    return told if told and told.message == message.name else tries


def noted(settings: Settings, tries: Tries, attempt: Callable[[], Ended]) -> Ended:
    """How `attempt` ended. A note lies on the disk meanwhile: whoever sees this process killed knows what it was at."""
    note = settings.state_directory / Folders().queued_run.name
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(tries.to_json(), "utf-8")
    try:
        return told(tries, attempt)
    finally:
        note.unlink(missing_ok=True)


def told(tries: Tries, work: Callable[[], Ended]) -> Ended:
    """How `work` ended, whatever it raises."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001
        # The bucket cannot be reached, or the disk takes not even a log: whatever it is, others may go better.
        logger.error("%s failed before or while telling so in the bucket: %s", tries.work.run_id, error)
        return Ended(Outcome.BROKE, str(error))
