"""Readers of documents that lie in the bucket, and of the messages that point at them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from io import StringIO

from rich.console import Console

from scripts.command_line.account.runs import status_adapter
from scripts.command_line.results.boot_records import FAILURE
from scripts.command_line.results.timeline import Timeline, _BootRecord, _phases, _Record, _record, show_timelines
from tests.fuzz.target import Target
from userdata.batch.documents import Batch, BatchEnded, Control, MachineShare, UnitDone, UnitFailed
from userdata.batch.unit import Unit
from userdata.bill.cost import earlier_receipts
from userdata.boot.fetch.packed_folder import read_manifest
from userdata.boot.telling.earlier import Earlier
from userdata.contract.hold import Hold
from userdata.contract.outside import read_json
from userdata.contract.tries import read_tries
from userdata.contract.work import read_work
from userdata.job.job_document import read_job
from userdata.job.run_error import RunError
from userdata.job.seeds import drawn_seed_in
from userdata.page.facts import facts_of_run, gpu_points
from userdata.page.shard import Shard, make_shards
from userdata.record.image_metadata import ImageRecord, parameters_text
from userdata.worker.by_hand.replay import check_replay
from userdata.worker.run.progress import continued_status
from userdata.worker.run.run import _told

BATCH_DOCUMENTS = (Batch, Control, UnitDone, UnitFailed, MachineShare, BatchEnded)


def status(content: bytes) -> object:
    """What the worker, the boot and the commands make of a status.json."""
    _told(content)
    continued_status(content, run_id="r", instance_id="i", images_total=3).to_json()
    with contextlib.suppress(ValueError):
        earlier = Earlier.from_status(content.decode("utf-8", "replace"))
        assert Earlier.from_line(earlier.to_line()) == earlier
    return status_adapter().validate_python(read_json(content))


def boot_record(content: bytes) -> object:
    """What `sd status --timeline` shows of a boot's record and of a run's report."""
    boot = _record(content, _BootRecord)
    if boot is None:
        return None
    phases = tuple(_phases(boot, None, _record(content, _Record)))
    show_timelines([Timeline(boot.started_at, phases)], Console(file=StringIO()))
    return boot


def batch(content: bytes) -> object:
    """The first byte says which of a batch's documents it is."""
    kind = BATCH_DOCUMENTS[content[0] % len(BATCH_DOCUMENTS)] if content else Batch
    return kind.from_json(content[1:]).to_json()


def record(content: bytes) -> object:
    """What `sd replay` asks of a record before anything is loaded."""
    found = ImageRecord.from_json(content)
    check_replay(found, None)
    parameters_text(found)
    for shard in make_shards([found]):
        assert Shard.from_script(shard.to_script()) == shard
    return found


def page_facts(content: bytes) -> object:
    """What a page shows of a report.json."""
    facts = facts_of_run("r", title="t", model="m", started_at="", images=1, shards=[], report=content)
    facts.to_script()
    return facts.phases or None


def as_text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda content: read(content.decode("utf-8", "replace"))


TARGETS = {
    "page-shard": Target(lambda content: Shard.from_script(content).to_script()),
    "page-facts": Target(page_facts, ()),
    "gpu-samples": Target(lambda content: gpu_points(content) or None, ()),
    "hold": Target(Hold.from_json),
    "job-document": Target(lambda content: (drawn_seed_in(content), read_job(content))),
    "status": Target(status),
    "boot-record": Target(boot_record, ()),
    # As `find_boot_failure` reads it.
    "boot-failure": Target(
        lambda content: FAILURE.validate_python(read_json(content)["error"]), (ValueError, KeyError, TypeError)
    ),
    "report": Target(lambda content: earlier_receipts(content) or None, ()),
    "units": Target(lambda content: Unit.from_line(content).requests()),
    "message": Target(as_text(read_work)),
    "tries": Target(read_tries, ()),
    "batch": Target(batch),
    "manifest": Target(as_text(read_manifest)),
    "record": Target(record, (ValueError, RunError)),
}
