"""A hold, which keeps an idle instance up until a time. A person writes it to the bucket, and the worker reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from userdata.contract.outside import read_json, read_utc


@dataclass(frozen=True)
class Hold:
    """The hold on one instance, until a time with a zone."""

    instance_id: str
    until: datetime

    def to_json(self) -> bytes:
        """The document below `holds/`; times are ISO 8601."""
        document = {"schema": 1, "instance_id": self.instance_id, "until": self.until.isoformat(timespec="seconds")}
        return (json.dumps(document, indent=2) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> Hold:
        """Raises `ValueError` for anything but such a document."""
        try:
            document = read_json(content)
            until = read_utc(document["until"])
            instance_id = str(document["instance_id"])
        except (KeyError, ValueError) as error:
            raise ValueError(f"no hold: {error!r}") from error
        return cls(instance_id, until)
