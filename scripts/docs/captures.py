"""The terminal captures of the pages: commands that are typed into a local cloud, and what they print.

Each capture is a file of docs/captures/, which the pages show. Whatever an account or a clock makes up is replaced by
something fixed; everything else must be the same, to the letter, at every run.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.docs.places import CAPTURES, ROOT
from scripts.interruption.scratch_folder import scratch_folder
from scripts.local.local_cloud import LocalCloud

WIDTH = 110
COMMAND_SECONDS = 300
CUT = "[...]"
# As scripts/demo does it, which opens a local cloud of its own around it.
DEMO = 'sd deploy --wait --model demo --idle-minutes 0 "A horse standing under a tree"'
MADE_UP = (
    (r"\b(i|vol|sg)-[0-9a-f]{17}\b", r"\1-0123456789abcdef0"),
    (r"(resultsbucket[0-9a-f]{8})-[a-z0-9]{12}\b", r"\1-0123456789ab"),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d\b", "2026-01-01 12:00"),
    (r"\b\d{3}\.\d kB\b", "200.0 kB"),
    (r"\b\d\d:\d\d UTC\b", "13:10 UTC"),
)


@dataclass(frozen=True)
class Capture:
    """One command as the page shows it, and what is kept of its output.

    `shown` picks lines by a pattern; what lies between them becomes one `[...]`. `runs` is what is typed instead, where
    the page's command is itself a way into the local cloud.
    """

    name: str
    command: str
    shown: str = ""
    runs: str = ""


BEFORE_THE_DEPLOY = (
    Capture("doctor-problems", "sd doctor --instance-type p5.4xlarge -c spot=true -c max_price=9 --max-spend 1"),
    Capture("models", "sd models"),
    Capture("cost", "sd cost"),
    Capture("quota-status", "sd quota status"),
    Capture("zones", "sd zones --instance-type g6e.xlarge"),
)
# In a stack of its own, with g6 sold out in every zone. Not what the CDK prints.
LADDER = Capture(
    "ladder",
    'sd deploy --types g6.xlarge,g5.xlarge "A horse standing under a tree"',
    " an hour: |be lost",
    "sd deploy --types g6.xlarge,g5.xlarge --model tiny -c stack=Ladder -c keep_results=false",
)
DEPLOY = Capture("demo", './scripts/demo "A horse standing under a tree"', r"deploying\.\.\.|✅|->", DEMO)
AFTER_THE_DEPLOY = (
    Capture("status", "sd status"),
    Capture("results", "sd results"),
    # Nobody is there to answer, so that nothing is queued.
    Capture(
        "batch",
        "sd batch prompts.txt --model stable-diffusion-v1-5 --max-usd 5",
        runs="for number in $(seq 1000); do echo a horse, number $number; done > prompts.txt; "
        "sd batch prompts.txt --model stable-diffusion-v1-5 --max-usd 5",
    ),
)
# Not the CDK's line for each event.
TEARDOWN = Capture("teardown", "sd teardown --yes", r"^(?!.* \| )")
TEARDOWN_AGAIN = Capture("teardown-again", "sd teardown --yes")


def capture_all() -> None:
    """Writes every capture anew, once all are taken."""
    with LocalCloud() as cloud, scratch_folder("sd-captures-") as folder:
        cloud.bootstrap()
        taken = dict(captures(cloud, folder))
    for old in CAPTURES.glob("*.txt"):
        old.unlink()
    for name, text in taken.items():
        (CAPTURES / f"{name}.txt").write_text(text, "utf-8")


def captures(cloud: LocalCloud, folder: Path) -> Iterator[tuple[str, str]]:
    """The captures with their names, from one life of a stack in `cloud`, with `folder` as the working directory."""
    for capture in (*BEFORE_THE_DEPLOY, DEPLOY):
        yield capture.name, _run(cloud, folder, capture)
    ec2 = cloud.client("ec2")
    (instance_id,) = cloud.machines
    # Its worker alone may take 90 seconds to end.
    ec2.get_waiter("instance_stopped").wait(
        InstanceIds=[instance_id], WaiterConfig={"Delay": 1, "MaxAttempts": COMMAND_SECONDS}
    )
    for capture in AFTER_THE_DEPLOY:
        yield capture.name, _run(cloud, folder, capture)

    yield LADDER.name, _climbed(cloud, folder)

    # What a teardown is to find: things that somebody made beside the stack, with the project's tag.
    def tagged(kind: str) -> list[Any]:
        return [{"ResourceType": kind, "Tags": [{"Key": "project", "Value": "sd-on-ec2"}]}]

    volume = ec2.create_volume(
        AvailabilityZone="us-east-1a", Size=100, VolumeType="gp3", TagSpecifications=tagged("volume")
    )
    ec2.create_security_group(GroupName="left", Description="left", TagSpecifications=tagged("security-group"))
    yield TEARDOWN.name, _run(cloud, folder, TEARDOWN)
    ec2.delete_volume(VolumeId=volume["VolumeId"])
    yield TEARDOWN_AGAIN.name, _run(cloud, folder, TEARDOWN_AGAIN)


def _climbed(cloud: LocalCloud, folder: Path) -> str:
    cloud.capacity.sell_out("g6.xlarge")
    printed = _run(cloud, folder, LADDER)
    cloud.capacity.sold_out.clear()
    # The call only begins the deletion, and the teardown that follows would name the stack.
    stacks = cloud.client("cloudformation")
    stacks.delete_stack(StackName="Ladder")
    stacks.get_waiter("stack_delete_complete").wait(
        StackName="Ladder", WaiterConfig={"Delay": 1, "MaxAttempts": COMMAND_SECONDS}
    )
    return printed


def _run(cloud: LocalCloud, folder: Path, capture: Capture) -> str:
    """The command behind a prompt, its output, and its exit status where that is not 0."""
    # Only what the checkout and the system bring: `sd doctor` looks for a program on the path.
    path = f"{ROOT}/.venv/bin:{ROOT}/node_modules/.bin:/usr/bin:/bin"
    # Without an activated environment there is no `sd` on the path, and what is there may be another checkout's.
    script = f'sd() {{ "{sys.executable}" -m scripts.command_line "$@"; }}; {capture.runs or capture.command}'
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**cloud.environment, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": str(WIDTH)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    status = ["$ echo $?", str(done.returncode)] if done.returncode else []
    printed = done.stdout
    for pattern, fixed in MADE_UP:
        printed = re.sub(pattern, fixed, printed)
    lines = [line.rstrip() for line in printed.splitlines()]
    return "\n".join([f"$ {capture.command}", *picked(lines, capture.shown), *status]) + "\n"


def picked(lines: list[str], shown: str) -> list[str]:
    """The lines that match a pattern, with one `[...]` in the place of the others between them."""
    marked = [line if re.search(shown, line) else CUT for line in lines]
    return [line for before, line in zip([None, *marked], marked, strict=False) if not line == before == CUT]
