"""What the rows look at in the bucket: the boot, the run, and what both have left there."""

from __future__ import annotations

import re
from datetime import datetime

from scripts.command_line.account.objects import read
from scripts.command_line.account.runs import read_status
from scripts.command_line.results.timeline import Phase, read_timelines
from scripts.command_line.terminal.command_error import aws_errors_in_words
from scripts.proof.seen import Seen
from userdata.contract.layout import BOOTS, CACHE, RunKeys
from userdata.contract.outside import read_utc


def run(seen: Seen) -> str:
    """The end of the run, and how many images it has."""
    status = seen.run.status if seen.run else None
    if status is None:
        return "no status"
    told = f"{status.phase}, {status.images_done} of {status.images_total}"
    return f"{told}: {status.error.message}" if status.error else told


def sent_run(seen: Seen) -> str:
    """The end of the run that the command has sent, and how many images it has."""
    run_id = _sent(seen)
    status = read_status(seen.s3, seen.bucket, run_id) if run_id else None
    return f"{status.phase}, {status.images_done} of {status.images_total}" if status else "no run was sent"


def seconds_to_draw(seen: Seen) -> str:
    """From the sent run's first phase to its last, by its report: what the warm worker needed."""
    run_id = _sent(seen)
    phases = seen.document(RunKeys(run_id).report).get("phases", []) if run_id else []
    return f"{sum(one['seconds'] for one in phases):.1f} s" if phases else "no record"


def batch(seen: Seen) -> str:
    """How the batch that `sd watch` has followed ended, and how many images it has."""
    told = re.search(r": (\w+): ([0-9,]+ of [0-9,]+) images", seen.finished.output)
    return f"{told[1]}, {told[2]}" if told else "no batch was watched"


def drawn_by(seen: Seen) -> str:
    """The machines that have drawn the batch, by what each of them has written."""
    named = re.search(r"([a-z0-9-]+-[0-9a-f]{10}): \w+: ", seen.finished.output)
    prefix = RunKeys(named[1] if named else "none").machines
    with aws_errors_in_words(f"list {prefix} in {seen.bucket}"):
        found = seen.s3.list_objects_v2(Bucket=seen.bucket, Prefix=prefix).get("Contents", [])
    shares = [seen.document(one["Key"]) for one in found]
    return ", ".join(f"{one.get('instance_type')} {one.get('life_cycle')}" for one in shares) or "nobody"


def drawn_prompt(seen: Seen) -> str:
    """The prompt that the instance has worked on."""
    return str(seen.document(seen.keys.job).get("prompt", "none"))


def phases(seen: Seen) -> str:
    """The phases of the last boot and of its run, those that took a second or more."""
    return ", ".join(f"{one.phase} {one.seconds:.0f} s" for one in _phases(seen) if one.seconds >= 1) or "no record"


def environment_source(seen: Seen) -> str:
    """Where the instance has its environment from."""
    found = [one.source for one in _phases(seen) if one.phase == "environment"]
    return (f"from the {found[0]}" if found[0] else "built anew") if found else "no record"


def minutes_to_image(seen: Seen) -> str:
    """From EC2's launch to the end of the run."""
    launched = seen.end.instance.get("LaunchTime")
    if not isinstance(launched, datetime) or not seen.run or not seen.run.status:
        return "not known"
    return f"{(read_utc(seen.run.status.updated_at) - launched).total_seconds() / 60:.1f} min"


def scores(seen: Seen) -> str:
    """The exposure of each of the product's units, as the machine's own systemd rates it: 0 is best, 10 is worst."""
    prefix = f"{BOOTS}{seen.end.instance_id}/"
    with aws_errors_in_words(f"list {prefix} in {seen.bucket}"):
        found = seen.s3.list_objects_v2(Bucket=seen.bucket, Prefix=prefix).get("Contents", [])
    facts = sorted(one["Key"] for one in found if one["Key"].endswith(".facts.txt"))
    text = (read(seen.s3, seen.bucket, facts[-1]) or b"").decode(errors="replace") if facts else ""
    return scores_in(text) or "no facts"


def scores_in(text: str) -> str:
    """The scores in what `systemd-analyze security` has printed, with the units' names."""
    told = sorted(re.findall(r"exposure level for (sd-[a-z]+)(?:@\w*)?\.service: (\d+\.\d)", text))
    return ", ".join(f"{unit} {score}" for unit, score in told)


def card(seen: Seen) -> str:
    """What has drawn, by the first image's record; a name that holds the table's is the table's."""
    drawn_with = seen.document(seen.keys.image_metadata(0)).get("drawn_with")
    device, expected = str(drawn_with["device"]) if drawn_with else "none", seen.place.words()["card"]
    return expected if expected in device else device


def gpu_samples(seen: Seen) -> str:
    """Whether the run has measured its card."""
    return "there" if read(seen.s3, seen.bucket, seen.keys.gpu) else "missing"


def receipt(seen: Seen) -> str:
    """What the run has cost, by its own receipt."""
    cost = seen.document(seen.keys.report).get("cost")
    return f"${cost['usd']:.3f}" if cost else "none"


def cached(seen: Seen) -> str:
    """What the cache of the bucket holds."""
    with aws_errors_in_words(f"list {CACHE} in {seen.bucket}"):
        found = seen.s3.list_objects_v2(Bucket=seen.bucket, Prefix=CACHE, Delimiter="/").get("CommonPrefixes", [])
    return ", ".join(one["Prefix"].removeprefix(CACHE).rstrip("/") for one in found) or "nothing"


def _sent(seen: Seen) -> str | None:
    found = re.search(r"Sent run ([a-z0-9-]+)\.", seen.finished.output)
    return found[1] if found else None


def _phases(seen: Seen) -> tuple[Phase, ...]:
    found = read_timelines(seen.s3, seen.bucket, instance_id=seen.end.instance_id, run_id=seen.keys.run_id)
    return found[-1].phases if found else ()
