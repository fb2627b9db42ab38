"""Times the boot's steps and tells of them: in the log, in the run's status, and in the record of the boot."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from typing import Any, Iterator, Optional

from userdata.boot.fetch.bucket import PLAIN, Bucket
from userdata.boot.fetch.cache import Cache
from userdata.boot.machine.step_error import StepError
from userdata.boot.telling.boot_log import BootLog
from userdata.boot.telling.facts import Facts
from userdata.boot.telling.run_status import RunStatus
from userdata.contract.atomic_file import write_atomically
from userdata.contract.background_upload import BackgroundUpload
from userdata.contract.layout import Folders, boot_key, facts_key
from userdata.contract.patience import Patience
from userdata.contract.status import PHASES, Failure, log_tail, utc_now

logger = logging.getLogger(__name__)
# An upload takes a process and about a second, and a boot with nothing to do is over sooner than that.
TELLING_SECONDS = 2.0


class Phases:
    """One boot, from its beginning to its end or its failure.

    `instance_id`, `bucket` and `run` become known during the first phase; what is not known yet is not told. Phases may
    overlap, each on its own thread: the record has each with its own beginning and length, and the run's status names
    the earliest, in the order of `PHASES`, of those under way.
    """

    def __init__(self, folders: Folders, lines: BootLog, facts: Facts) -> None:
        self.started_at = utc_now()
        self.instance_id = "unknown"
        self.bucket: Optional[Bucket] = None
        self.run: Optional[RunStatus] = None
        self._folders = folders
        self._lines = lines
        self._facts = facts
        self._document = ""
        self._upload: Optional[BackgroundUpload] = None
        self._phases: list[dict[str, Any]] = []
        self._step = "boot"
        self._lock = threading.Lock()
        self._under_way: list[str] = []
        self._failed: Optional[str] = None
        self._over = False

    @contextlib.contextmanager
    def phase(self, name: str, cache: Optional[Cache] = None) -> Iterator[None]:
        """One step: announced when it begins, and timed in seconds when it ends well.

        The record says whether anything of it came from `cache`.
        """
        with self._lock:
            self._under_way.append(name)
        thread = threading.current_thread()
        name_before, thread.name = thread.name, name  # for the lines of the log; see boot_log.py
        logger.info("%s ...", name)
        self.announce()
        began, started_at = time.monotonic(), utc_now()
        try:
            yield
        except Exception:
            self._failed = self._failed or name
            raise
        finally:
            thread.name = name_before
        seconds = round(time.monotonic() - began, 3)
        logger.info("%s done in %.1f s", name, seconds)
        source = {"from": "cache"} if cache and cache.has_served() else {}
        with self._lock:
            self._under_way.remove(name)
            self._phases.append({"phase": name, "started_at": started_at, "seconds": seconds, **source})
            self._phases.sort(key=lambda phase: str(phase["started_at"]))
            # A failure of another phase has been told: this one's end is no news.
            if not self._over:
                self._save()
        self.announce()

    def announce(self) -> None:
        """Writes the step under way into the run's status.

        In the background: a boot must not wait for its own progress reports, nor fail for them.
        """
        with self._lock:
            if self._over or not self._under_way:
                return
            self._step = min(self._under_way, key=PHASES.index)
            run, bucket = self.run, self.bucket
            document = run.enter(self._step) if run else None
            if not (document and run and bucket):
                return
            self._document = document
            if self._upload is None:
                status = run.keys.status
                self._upload = BackgroundUpload(
                    status, lambda: bucket.put(status, self._document), failures=(StepError,), pause=TELLING_SECONDS
                )
        self._upload.changed()

    def settle(self) -> None:
        """Ends the uploads in the background: what comes next, the worker's own status or a failure, is newer."""
        if self._upload:
            self._upload.settle()

    def finish(self) -> None:
        """The record of a boot that went well, into the bucket. A failure of this is logged and no more."""
        self._tell("the record of this boot", boot_key(self.instance_id, self.started_at), self._record(None))
        self._tell_facts()

    def fail(self, error: Exception) -> None:
        """Tells of a failure wherever it can be told; what cannot be told is logged. Never raises."""
        with self._lock:
            self._over = True
        step, message = self._failed or self._step, str(error)
        if isinstance(error, StepError):
            logger.error("%s: %s", step, message)
        else:
            message = f"The boot met something that it was not made for ({type(error).__name__}: {error})."
            logger.error("%s: %s", step, message, exc_info=error)
        failure = Failure(step=step, message=message, log_tail=log_tail(self._lines.text()))
        self.settle()
        record = self._record(failure)
        try:
            self._save(failure)
        except OSError as not_saved:
            logger.warning("the record of this boot was not saved: %s", not_saved)
        document = self.run.fail(failure) if self.run else None
        if self.run and document:
            self._tell("the run's status", self.run.keys.status, document)
            log_key = self.run.keys.log
        else:
            log_key = boot_key(self.instance_id, self.started_at).replace(".json", ".log.txt")
        self._tell("the record of this boot", boot_key(self.instance_id, self.started_at), record)
        self._tell("the log", log_key, self._lines.text(), PLAIN)
        self._tell_facts()

    def _record(self, failure: Optional[Failure]) -> str:
        document = {
            "schema": 1,
            "instance_id": self.instance_id,
            "started_at": self.started_at,
            "phases": self._phases,
            "error": vars(failure) if failure else None,
        }
        return json.dumps(document, indent=2) + "\n"

    def _save(self, failure: Optional[Failure] = None) -> None:
        write_atomically(self._folders.boot_timeline, self._record(failure).encode())

    def _tell_facts(self) -> None:
        if self.bucket:
            key = facts_key(self.instance_id, self.started_at)
            self._tell("the facts of this machine", key, self._facts.text(), PLAIN)

    def _tell(self, what: str, key: str, text: str, content_type: str = "application/json") -> None:
        if self.bucket is None:
            logger.warning("%s was not uploaded: the bucket is not known yet", what)
            return
        try:
            self.bucket.put(key, text, content_type)
        except StepError as error:
            logger.warning("%s was not uploaded: %s", what, error)
            # The machine costs money while it waits: what is told next is not given another minute, too.
            self.bucket = Bucket(self.bucket.name, patience=Patience(attempts=1))
