"""The versions that the cache has of an entry. Only who may unpack it asks: the names in `cache/` are anybody's."""

from __future__ import annotations

import logging
import re
import threading
from typing import Dict, Optional

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.packed_folder import MANIFEST
from userdata.boot.machine.step_error import StepError
from userdata.contract.layout import CACHE

logger = logging.getLogger(__name__)


class Versions:
    """Of all entries in the cache of `bucket`, which is asked once. Thread-safe."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._lock = threading.Lock()
        self._listed: Optional[Dict[str, str]] = None

    def newest(self, key: str) -> Optional[str]:
        """The key of the entry's newest version, a folder's being its manifest's; None when there is none."""
        with self._lock:
            if self._listed is None:
                self._listed = self._list()
            listed = self._listed
        folder, _, name = key.rpartition("/")
        version = re.compile(f"{re.escape(folder)}/([0-9A-Za-z-]+/)?{re.escape(name or MANIFEST)}")
        found = [key for key in listed if version.fullmatch(key)]
        # S3's clock has whole seconds. The first version has the shortest key.
        return max(found, key=lambda key: (listed[key], len(key), key), default=None)

    def _list(self) -> Dict[str, str]:
        try:
            return self._bucket.listed(CACHE)
        except (StepError, ValueError) as error:
            logger.warning("nothing is taken from the cache: %s", error)
            return {}
