"""The `status.json` of the run that is deployed, as the boot reads and writes it."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any, Mapping, Optional

from userdata.contract.layout import RunKeys
from userdata.contract.outside import read_json
from userdata.contract.run_name import run_name
from userdata.contract.status import Failure, Status

logger = logging.getLogger(__name__)
# The longest part of it is the end of a log, of 40 lines.
MOST_BYTES = 4 << 20


class RunStatus:
    """The state of one run while no worker runs.

    A run that is done stays so, whatever a later boot goes through. An interrupted or failed one keeps its beginning
    and the number of its images.
    """

    def __init__(self, status: Status, keys: RunKeys) -> None:
        self.status = status
        self.keys = keys

    @classmethod
    def of(cls, parameters: Mapping[str, str], *, instance_id: str, found: Optional[str]) -> RunStatus:
        """The state of the run that `parameters` ask for; `found` is its status.json, None when there is none.

        Raises `KeyError` or `ValueError` when the parameters do not describe a run.
        """
        run_id = run_name(parameters)
        total = int(parameters["Iterations"]) * int(parameters["Samples"])
        fresh = Status(run_id=run_id, instance_id=instance_id, images_total=total)
        keys = RunKeys(run_id, from_image=bool(parameters["InitImage"]))
        return cls(_continued(fresh, found), keys)

    @classmethod
    def of_queued(cls, run_id: str, *, instance_id: str, found: Optional[str]) -> RunStatus:
        """The state of the run that a message asks for; `found` as for `of`."""
        return cls(_continued(Status(run_id=run_id, instance_id=instance_id), found), RunKeys(run_id))

    @staticmethod
    def key(parameters: Mapping[str, str]) -> str:
        """Where the status of the run that `parameters` ask for lies. Raises as `of` does."""
        return RunKeys(run_name(parameters)).status

    @property
    def done(self) -> bool:
        """Whether the run is done, so that nothing may be written any more."""
        return self.status.phase == "done"

    def enter(self, phase: str) -> Optional[str]:
        """The document for a phase that begins, or None for a run that is done. Raises `ValueError` for no phase."""
        if self.done:
            return None
        self.status = dataclasses.replace(self.status, phase=phase, error=None, eta_seconds=None)
        return self.status.to_json()

    def fail(self, failure: Failure) -> Optional[str]:
        """The document for a failure, or None for a run that is done."""
        if self.done:
            return None
        self.status = dataclasses.replace(self.status, phase="failed", error=failure, eta_seconds=None)
        return self.status.to_json()


def _continued(fresh: Status, found: Optional[str]) -> Status:
    if found is None:
        return fresh
    try:
        document: dict[str, Any] = read_json(found, most_bytes=MOST_BYTES)
        return dataclasses.replace(
            fresh,
            phase=document["phase"],
            images_done=int(document["images_done"]),
            images_total=fresh.images_total or int(document.get("images_total", 0)),
            images_flagged=int(document.get("images_flagged", 0)),
            started_at=str(document["started_at"]),
            updated_at=str(document["updated_at"]),
            error=Failure(**document["error"]) if document["error"] else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        logger.warning("the run's status.json is not readable (%s): it is begun again", error)
        return fresh
