"""The parts of a report about what boots and runs left in the bucket."""

from __future__ import annotations

from scripts.command_line.account.instance import deployed_run_id
from scripts.command_line.account.objects import read_if_possible
from scripts.command_line.account.runs import list_runs
from scripts.command_line.report.case import Case, Told
from scripts.command_line.terminal.command_error import CommandError
from userdata.contract.layout import BOOTS, RunKeys
from userdata.contract.outside import read_json

MOST_BOOTS = 3


def boots(case: Case) -> Told:
    """The latest boots: their records, their logs where they failed, and the facts of the machine."""
    s3, bucket = case.s3, case.bucket
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{BOOTS}{case.instance_id}/")
    keys = sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))
    if not keys:
        raise CommandError(f"The instance {case.instance_id} left no record of a boot; the console output may say why.")
    # Every file of a boot begins with the time at which the boot began.
    latest = sorted({_begun(key) for key in keys})[-MOST_BOOTS:]
    texts = {key: _text(read_if_possible(s3, bucket, key)) for key in reversed(keys) if _begun(key) in latest}
    record = next((text for key, text in texts.items() if key.endswith(".json")), "{}")
    return Told(f"the last of {len({_begun(key) for key in keys})}: {_error_in(record)}", _joined(texts))


def run(case: Case) -> Told:
    """The deployed run, or the latest where that is not known: its status, its report and its log."""
    s3, bucket = case.s3, case.bucket
    run_id = _run_id(case)
    keys = RunKeys(run_id)
    texts = {key: _text(read_if_possible(s3, bucket, key)) for key in (keys.status, keys.report, keys.log)}
    case.words += _prompts_of(read_if_possible(s3, bucket, keys.job))
    found = {key: text for key, text in texts.items() if text}
    if not found:
        raise CommandError(f"The run {run_id} has not begun.")
    try:
        phase = read_json(texts[keys.status])["phase"]
    except (KeyError, TypeError, ValueError):
        phase = "its status cannot be read"
    return Told(f"{run_id}: {phase}, {_error_in(texts[keys.status])}", _joined(found))


def _run_id(case: Case) -> str:
    try:
        if case.deployment:
            return deployed_run_id(case.deployment)
    except CommandError:
        pass  # another may be there
    runs = list_runs(case.s3, case.bucket)
    if not runs:
        raise CommandError(f"There is no run in {case.bucket}.")
    return runs[-1].run_id


def _prompts_of(job: bytes | None) -> list[str]:
    """The prompts of a run, which its log may quote; another run than the deployed one has others."""
    try:
        document = read_json(job or b"{}")
        return [str(document.get(name, "")) for name in ("prompt", "negative_prompt")]
    except ValueError:
        return []


def _begun(key: str) -> str:
    return key.rpartition("/")[2].partition("Z.")[0]


def _text(body: bytes | None) -> str:
    return (body or b"").decode("utf-8", "replace")


def _error_in(document: str) -> str:
    try:
        error = read_json(document)["error"]
        return f"failed at {error['step']}: {error['message']}" if error else "no error"
    except (KeyError, TypeError, ValueError):
        return "its document cannot be read"


def _joined(texts: dict[str, str]) -> str:
    return "\n".join(f"--- {key}\n{text}" for key, text in texts.items())
