"""Watches for the two minutes' notice that EC2 gives before it takes a spot instance back.

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
"""

from __future__ import annotations

import json
import logging
import os
import threading
import urllib.error
import urllib.request

logger = logging.getLogger(__name__)

ENDPOINT = "http://169.254.169.254"
POLL_SECONDS = 5.0  # as often as AWS recommends
ANSWER_SECONDS = 2.0
TOKEN_SECONDS = 21600
NOT_FOUND, UNAUTHORIZED = 404, 401


class SpotNotice:
    """Sets `stop` when the metadata service announces that the instance will be interrupted.

    The worker then ends its image within a step, uploads what it has and leaves; the run is resumed by the next start
    or the next instance. A service that does not answer is asked again: on most machines there is never a notice.
    """

    def __init__(
        self, stop: threading.Event, *, endpoint: str | None = None, poll_seconds: float = POLL_SECONDS
    ) -> None:
        base = endpoint or os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or ENDPOINT
        self._base = base.rstrip("/") + "/latest/"
        self._stop = stop
        self._poll_seconds = poll_seconds
        self._token: str | None = None
        # A proxy that is meant for the internet must not be asked for a link-local address.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def watch(self) -> None:
        """Watches from a thread of its own until `stop` is set, by the notice or by anything else."""
        threading.Thread(target=self._watch, name="spot notice", daemon=True).start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            notice = self._notice()
            if notice:
                logger.warning("EC2 takes this spot instance back: %s", notice)
                self._stop.set()
                return
            self._stop.wait(self._poll_seconds)

    def _notice(self) -> str | None:
        """What is announced, None when nothing is or nobody knows."""
        try:
            self._token = self._token or self._ask(
                "api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
            )
            document = self._ask("meta-data/spot/instance-action", "GET", {"X-aws-ec2-metadata-token": self._token})
            found = json.loads(document)
            return f"{found['action']} at {found['time']}"
        except urllib.error.HTTPError as error:
            with error:
                if error.code == UNAUTHORIZED:
                    self._token = None  # its time is over
                elif error.code != NOT_FOUND:
                    logger.debug("the metadata service answered %d", error.code)
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.debug("the metadata service did not answer: %s", error)
        return None

    def _ask(self, path: str, method: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(self._base + path, method=method, headers=headers)  # noqa: S310
        with self._opener.open(request, timeout=ANSWER_SECONDS) as response:
            return str(response.read().decode())
