"""Watches for the two minutes' notice that EC2 gives before it takes a spot instance back.

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from userdata.contract.metadata_service import MetadataService, NoAnswerError
from userdata.contract.outside import read_json

logger = logging.getLogger(__name__)

POLL_SECONDS = 5.0  # as often as AWS recommends
ANSWER_SECONDS = 2.0


class SpotNotice:
    """Sets `stop` when the metadata service announces that the instance will be interrupted.

    The worker then ends its image within a step, uploads what it has and leaves; the run is resumed by the next start
    or the next instance. `tell` is called before, and may take some seconds. A service that does not answer is asked
    again: on most machines there is never a notice.
    """

    def __init__(
        self,
        stop: threading.Event,
        *,
        tell: Callable[[], None] = lambda: None,
        endpoint: str | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._service = MetadataService(endpoint, seconds=ANSWER_SECONDS)
        self._stop = stop
        self._tell = tell
        self._poll_seconds = poll_seconds

    def watch(self) -> None:
        """Watches from a thread of its own until `stop` is set, by the notice or by anything else."""
        threading.Thread(target=self._watch, name="spot notice", daemon=True).start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                notice = read_json(self._service.get("spot/instance-action"))
                logger.warning("EC2 takes this spot instance back: %s at %s", notice["action"], notice["time"])
                # First, because a worker that has nothing to save ends at once, and this thread with it.
                self._tell()
                self._stop.set()
            except (NoAnswerError, ValueError, KeyError, TypeError) as error:
                logger.debug("no notice: %s", error)
                self._stop.wait(self._poll_seconds)
