"""Documents about the stack, its machine, and the account."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from scripts.command_line.documents.document import Document, Part
from scripts.command_line.documents.runs import BatchRow, RunRow


class InstanceRow(Part):
    """The instance, and EC2's word for its state."""

    instance_id: str
    state: str


class PhaseRow(Part):
    """A phase of a boot or of its run: seconds after the boot's beginning, and its length in seconds."""

    phase: str
    after_seconds: float
    seconds: float


class BootRow(Part):
    """One boot of the instance."""

    started_at: AwareDatetime
    phases: list[PhaseRow]


class StatusDocument(Document):
    """The stack: `sd status --json`. `boots` are there with --timeline.

    `trouble` says what is wrong with the stack, `fleet` tells of its machines, `runs_waiting` counts the queue.
    """

    stack: str
    stack_state: str
    trouble: str | None
    instance: InstanceRow
    fleet: list[str]
    runs_waiting: int
    run: RunRow | BatchRow
    batches: list[RunRow | BatchRow]
    boots: list[BootRow] | None = None


class HoldDocument(Document):
    """The hold on the instance, None without one: `sd hold --json`."""

    instance_id: str
    held_until: AwareDatetime | None
    message: str


class DeployDocument(Document):
    """The stack that stands, its run, and what becomes of the machine: `sd start --json`, `sd deploy --json`."""

    stack: str
    run_id: str
    instance_id: str
    message: str


class StopDocument(Document):
    """What was stopped, in sentences: `sd stop --json`."""

    messages: list[str]


class LeftRow(Part):
    """A thing that goes on costing: US dollars a month, None where not known, and the command that removes it."""

    kind: str
    id: str
    detail: str
    usd_per_month: float | None
    is_result: bool
    command: str


class TeardownDocument(Document):
    """Whether the stack was deleted, what is left in the region, and the stacks that stand: `sd teardown --json`."""

    region: str
    stack: str
    deleted: bool
    left: list[LeftRow]
    standing: list[str]


class CheckRow(Part):
    """A check: what was found, how to mend it, and whether a deploy would fail."""

    name: str
    state: Literal["ok", "problem", "unknown"]
    found: str
    mend: str
    blocks: bool


class DoctorDocument(Document):
    """The checks before a deploy: `sd doctor --json`."""

    checks: list[CheckRow]


class MissingPart(Part):
    """A part of the report that could not be had, and why."""

    title: str
    why: str


class ReportDocument(Document):
    """Where the report was written, and what is not in it: `sd report --json`."""

    path: str
    missing: list[MissingPart]


class ZoneRow(Part):
    """A zone of the region, and whether it offers the type."""

    zone: str
    offers: bool


class ZonesDocument(Document):
    """Which zones offer an instance type: `sd zones --json`."""

    region: str
    instance_type: str
    zones: list[ZoneRow]


class QuotaRequestRow(Part):
    """A request for a larger quota."""

    asked_at: str
    vcpus: float
    state: str
    case: str | None


class QuotaDocument(Document):
    """A quota of vCPUs, its use, and the requests for more: `sd quota status --json`."""

    region: str
    name: str
    code: str
    vcpus: float
    used: int
    requests: list[QuotaRequestRow]
