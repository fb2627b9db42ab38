"""`report.json`: what a run has taken, in time, images and money."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from pydantic import BaseModel, ValidationError

from userdata.bill.cost import Cost
from userdata.contract.outside import read_json
from userdata.job.seeds import Seed
from userdata.worker.run.gpu_samples import GpuSummary

logger = logging.getLogger(__name__)


class PhaseTime(BaseModel):
    """One phase: its name, its beginning (UTC, ISO 8601) and its length in seconds."""

    phase: str
    started_at: str
    seconds: float


class ImageTime(BaseModel):
    """One image: its file's name, its seed, its share of its batch's time in seconds, and the safety checker's answer.

    `flagged` is None for an image that was not checked.
    """

    file: str
    seed: Seed
    seconds: float
    flagged: bool | None = None


class Report(BaseModel):
    """The report of one run, written when an attempt ends. `gpu` is None without a GPU, `cost` without a price.

    `resumed` says that an earlier attempt made some of the images. `phases` are the last attempt's, behind those of its
    boot. `images` are all images, or, when the attempt ended early, those that this machine has made.
    """

    schema_: int = 1
    run_id: str
    instance_id: str
    instance_type: str
    resumed: bool
    phases: list[PhaseTime]
    images: list[ImageTime]
    images_flagged: int
    gpu: GpuSummary | None
    versions: dict[str, str]
    cost: Cost | None

    def to_json(self) -> bytes:
        """The document."""
        document = {"schema": self.schema_, **self.model_dump(mode="json", exclude={"schema_"})}
        return (json.dumps(document, indent=2) + "\n").encode()


def read_boot_phases(timeline: Path) -> list[PhaseTime]:
    """The phases of the boot that started this worker; none, and a line in the log, when `timeline` is no timeline."""
    try:
        return [PhaseTime.model_validate(phase) for phase in read_json(timeline.read_bytes())["phases"]]
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        logger.info("The report has no phases of the boot: %s", error)
        return []
