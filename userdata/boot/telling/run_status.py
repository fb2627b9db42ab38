"""The `status.json` of the run that is deployed, as the boot reads and writes it."""

from __future__ import annotations

import dataclasses
from typing import Mapping, Optional

from userdata.boot.telling.earlier import Earlier
from userdata.contract.layout import RunKeys
from userdata.contract.run_name import run_name
from userdata.contract.status import Failure, Status


class RunStatus:
    """The state of one run while no worker runs.

    A run that is done stays so, whatever a later boot goes through. An interrupted or failed one keeps its beginning
    and the number of its images.
    """

    def __init__(self, status: Status, keys: RunKeys) -> None:
        self.status = status
        self.keys = keys

    @classmethod
    def of(cls, parameters: Mapping[str, str], *, instance_id: str, earlier: Optional[Earlier]) -> RunStatus:
        """The state of the run that `parameters` ask for, and of which `earlier` was told.

        Raises `KeyError` or `ValueError` when the parameters do not describe a run.
        """
        run_id = run_name(parameters)
        total = int(parameters["Iterations"]) * int(parameters["Samples"])
        fresh = Status(run_id=run_id, instance_id=instance_id, images_total=total)
        keys = RunKeys(run_id, from_image=bool(parameters["InitImage"]))
        return cls(_continued(fresh, earlier), keys)

    @classmethod
    def of_queued(cls, run_id: str, *, instance_id: str, earlier: Optional[Earlier]) -> RunStatus:
        """The state of the run that a message asks for; `earlier` as for `of`."""
        return cls(_continued(Status(run_id=run_id, instance_id=instance_id), earlier), RunKeys(run_id))

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


def _continued(fresh: Status, earlier: Optional[Earlier]) -> Status:
    if earlier is None:
        return fresh
    return dataclasses.replace(fresh, **{**vars(earlier), "images_total": fresh.images_total or earlier.images_total})
