"""Where the files of a run lie: in the bucket, and on this machine's disk, where a folder mirrors the bucket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from userdata.contract.layout import RunKeys
from userdata.job.run_error import RunError
from userdata.worker.bucket.bucket import Bucket


@dataclass(frozen=True)
class RunFiles:
    """The files of one run by their keys. The path of a file below `folder` is its key in `bucket`."""

    keys: RunKeys
    bucket: Bucket
    folder: Path

    def on_disk(self, key: str) -> Path:
        """The path of the file on this machine, whether or not the file exists."""
        return self.folder / key

    def read(self, key: str) -> bytes:
        """The content, from the disk or, where an earlier attempt made the file on another disk, from the bucket.

        Raises `RunError` when the file is in neither.
        """
        file = self.on_disk(key)
        content = file.read_bytes() if file.exists() else self.bucket.get(key)
        if content is None:
            raise RunError(f"{key} has vanished from the bucket {self.bucket.name} during the run. Deploy again.")
        return content
