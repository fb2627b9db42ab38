"""Writes the log of one run to the state folder, and uploads it periodically and at the end."""

from __future__ import annotations

import logging
from pathlib import Path

from userdata.contract.log_lines import log_format
from userdata.contract.status import log_tail
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.passing_errors import AWS_ERRORS
from userdata.worker.bucket.publisher import Publisher

UPLOAD_SECONDS = 15.0

logger = logging.getLogger(__name__)


class RunLog(logging.FileHandler):
    """Writes all that is logged until `close_and_upload`, behind what earlier attempts logged.

    Leaving it as a context ends the log too, whatever error ends the run: the next run of the process has a log of its
    own.
    """

    def __init__(self, bucket: Bucket, key: str, folder: Path) -> None:
        self.path = folder / key
        self.path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(self.path, mode="a", encoding="utf-8")
        self.setFormatter(log_format())
        self._publisher = Publisher(bucket, key, self.path.read_bytes, interval=UPLOAD_SECONDS)
        logging.getLogger().addHandler(self)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self in logging.getLogger().handlers:
            self.close_and_upload()

    def emit(self, record: logging.LogRecord) -> None:
        """Writes `record`, and asks for an upload."""
        super().emit(record)
        self._publisher.changed()

    def tail(self) -> str:
        """The last lines, for the status of a failed run."""
        return log_tail(self.path.read_text("utf-8", errors="replace"))

    def close_and_upload(self) -> None:
        """Ends the log. An upload that fails is a warning only, because the images do not depend on the log."""
        logging.getLogger().removeHandler(self)
        self.close()
        try:
            self._publisher.close()
        except AWS_ERRORS as error:
            logger.warning("The log was not uploaded: %s", error)
