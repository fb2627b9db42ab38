"""Documents about runs and batches."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from scripts.command_line.documents.document import Document, Part
from userdata.batch.documents import MachineShare


class ImageCount(Part):
    """How many images are drawn, and how many there will be."""

    done: int
    total: int


class UnitCount(Part):
    """How many units of a batch are drawn, were set aside, and how many there are."""

    done: int
    failed: int
    total: int


class RunError(Part):
    """At which step a run has failed, and why."""

    step: str
    message: str


class RunRow(Part):
    """A run that is one job. `state` is `waits`, a phase of its status, `interrupted` or `unknown`.

    `flagged` are the images that the safety checker has flagged; `note` says why it ended early.
    """

    kind: Literal["run"] = "run"
    run_id: str
    state: str
    started_at: str | None
    images: ImageCount | None
    flagged: int = 0
    error: RunError | None = None
    note: str | None = None


class MachineRow(MachineShare):
    """What a machine has told of a batch, and its state: `works`, EC2's word, or `unknown`."""

    state: str


class BatchRow(Part):
    """How far a batch is (docs/batches.md). `usd_at_most` counts spot prices at their most."""

    kind: Literal["batch"] = "batch"
    run_id: str
    title: str
    by: str
    asked_at: AwareDatetime
    looked_at: AwareDatetime
    state: str
    why: str
    images: ImageCount
    units: UnitCount
    images_per_minute: float
    seconds_left: int | None
    usd: float
    usd_at_most: float
    usd_is_incomplete: bool
    usd_per_hour: float
    max_usd: float | None
    machines: list[MachineRow]


class RunDocument(Document, RunRow):
    """A run that is one job: `sd watch --json`."""


class BatchDocument(Document, BatchRow):
    """A batch: `sd watch --json`, and what `sd batch`, `pause`, `resume`, `cancel` and `retry` leave."""


class LeftOutRow(Part):
    """An object of the bucket that was not downloaded, and why."""

    key: str
    why: str


class Download(Part):
    """The folder of what was downloaded, the images that lie there now, and what was left out."""

    folder: str
    images: list[str]
    left_out: list[LeftOutRow]


class ResultsDocument(Document):
    """The runs of a bucket: `sd results --json`. `stack_is_gone` says that no machine works on any of them."""

    bucket: str
    stack_is_gone: bool
    runs: list[RunRow | BatchRow]
    download: Download | None


class DrawnDocument(Document):
    """A run that was drawn and downloaded: `sd generate --json`, `sd deploy --wait --json`."""

    run: RunRow
    download: Download


class LogDocument(Document):
    """The log of a run: `sd logs --json`."""

    run_id: str
    lines: list[str]


class Difference(Part):
    """A value that differs, of the first and of the second; None where one has none."""

    field: str
    values: tuple[str | None, str | None]


class PictureDifference(Part):
    """Two pictures of one name: their sizes, None for one that cannot be read.

    `equal_share` is the share of pixels that are equal, from 0 to 1, and `largest_difference` that of any channel, of
    255; both are None where the sizes differ.
    """

    name: str
    sizes: tuple[str | None, str | None]
    equal_share: float | None
    largest_difference: int | None


class CompareDocument(Document):
    """What differs between two runs or images: `sd compare` with --json. `images` are there with --images."""

    subjects: tuple[str, str]
    alike: int
    differ: list[Difference]
    images: list[PictureDifference]
    troubles: list[str]


class GalleryDocument(Document):
    """The page that was made: `sd gallery --json`. With --share `link` shows it until `link_ends`, or sooner."""

    runs: int
    images: int
    page: str | None = None
    link: str | None = None
    link_ends: AwareDatetime | None = None
