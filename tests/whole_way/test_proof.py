"""`./scripts/test --aws` against the local cloud: the same program that a person runs in a real account."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.local.command_environment import CHECKOUT
from scripts.local.local_cloud import LocalCloud
from scripts.proof.place import STACK
from scripts.proof.steps import STEPS
from tests.local_cloud.conftest import machines_hang
from tests.whole_way.conftest import wait_for

pytestmark = [pytest.mark.local_cloud, pytest.mark.timeout(1200)]

# The steps of CI: a machine that stays up, its queue, and its alarm, which only this program sets off as a person
# would. The others have tests of their own, and --long walks through them here as well.
SAMPLE = ("stays up", "the next prompt", "lifetime alarm", "cdk destroy")
WALK_SECONDS = 1000

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(cloud: LocalCloud, tmp_path: Path) -> Iterator[Start]:
    """Starts the program as a person does, with its report in the test's folder."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["./scripts/test", "--aws", "--yes", "--report", str(tmp_path / "report"), *words],
            cwd=CHECKOUT,
            env=cloud.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def steps(*names: str) -> list[str]:
    return [word for name in names for word in ("--step", name)]


def stacks(cloud: LocalCloud) -> set[str]:
    described = cloud.client("cloudformation").describe_stacks()["Stacks"]
    return {one["StackName"] for one in described} - {"CDKToolkit"}


def own_buckets(cloud: LocalCloud) -> list[str]:
    names = [bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]]
    return [name for name in names if name.startswith(STACK.lower())]


def until_it_boots(cloud: LocalCloud) -> None:
    def boots() -> bool:
        return any(cloud.machines[name].pid for name in cloud.machines)

    wait_for(boots, "the first machine of the proof to boot")


@pytest.fixture
def stack_of_the_user(cloud: LocalCloud) -> Iterator[None]:
    """A deployment that is none of the proof's, with its images and a stopped instance; it must be there at the end."""
    tags = [{"Key": "project", "Value": "sd-on-ec2"}, {"Key": "sd-on-ec2:stack", "Value": "SdOnEc2"}]
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "sdonec2-resultsbucket-1", "Tags": tags}}
    template = {"Resources": {"ResultsBucket": bucket}}
    cloud.client("cloudformation").create_stack(StackName="SdOnEc2", TemplateBody=json.dumps(template))
    wait_for(lambda: "SdOnEc2" in stacks(cloud), "the user's stack")
    cloud.client("s3").put_object(Bucket="sdonec2-resultsbucket-1", Key="runs/a/txt2img-samples/samples/0.png")
    cloud.client("s3").create_bucket(Bucket="left-by-the-user")
    cloud.client("s3").put_bucket_tagging(Bucket="left-by-the-user", Tagging={"TagSet": tags[:1]})
    yield
    assert stacks(cloud) == {"SdOnEc2"}
    cloud.client("s3").head_object(Bucket="sdonec2-resultsbucket-1", Key="runs/a/txt2img-samples/samples/0.png")
    cloud.client("s3").head_bucket(Bucket="left-by-the-user")


@pytest.mark.usefixtures("stack_of_the_user")
def test_a_proof_that_was_killed_is_removed_by_the_next_one(cloud: LocalCloud, start: Start, tmp_path: Path) -> None:
    killed = start(*steps("cdk destroy"))
    until_it_boots(cloud)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert STACK in stacks(cloud)
    first = set(cloud.machines)

    out, errors = start(*steps(*SAMPLE)).communicate(timeout=WALK_SECONDS)
    assert f"us-east-1 has the stack {STACK}" in errors
    rows = read_table(out)
    assert rows["[lifetime alarm]"]["the instance"] == ["stopped", "stopped", "yes"]
    assert "no" not in [row[-1] for of_step in rows.values() for row in of_step.values()], out
    assert re.match("0 of [0-9]+ rows are not as expected, 0 of the steps were not tried", errors.splitlines()[-1])
    assert own_buckets(cloud) == []
    assert not first & set(cloud.machines)
    report = (tmp_path / "report/proof.md").read_text()
    assert cloud.account.id not in report
    assert cloud.account.access_key_id not in report
    assert out.splitlines()[0] in report


@pytest.mark.usefixtures("stack_of_the_user")
@machines_hang()
def test_after_an_interrupt_nothing_is_left(cloud: LocalCloud, start: Start, tmp_path: Path) -> None:
    interrupted = start()
    until_it_boots(cloud)
    interrupted.send_signal(signal.SIGINT)
    out, errors = interrupted.communicate(timeout=WALK_SECONDS)
    assert interrupted.returncode == 128 + signal.SIGINT, errors
    assert "Interrupted: everything is removed now" in errors
    assert f"{len(STEPS)} of the steps were not tried" in errors
    assert "left by the audit" in out
    assert own_buckets(cloud) == []
    assert list(cloud.machines) == []
    _, errors = start("--remove").communicate(timeout=WALK_SECONDS)
    assert errors == "Nothing of a proof is left in us-east-1.\n"


@pytest.mark.long
@pytest.mark.usefixtures("stack_of_the_user")
def test_the_whole_walk_sees_what_the_docs_say(cloud: LocalCloud, start: Start) -> None:
    whole = start()
    out, errors = whole.communicate(timeout=WALK_SECONDS)
    rows = read_table(out)
    assert [f"[{step.name}]" for step in STEPS] == list(rows)[:-1]
    assert "no" not in [row[-1] for of_step in rows.values() for row in of_step.values()], out
    assert whole.returncode == 0, errors


def read_table(text: str) -> dict[str, dict[str, list[Any]]]:
    """The table as it was printed: by step, by row, what was expected, seen, and whether it is the same."""
    rows: dict[str, dict[str, list[Any]]] = {}
    for line in text.splitlines()[1:]:
        if line.startswith("["):
            step = rows.setdefault(line, {})
        elif line[75:].strip():
            step[line[:23].strip()] = [line[25:46].strip(), line[48:71].strip(), line[73:].strip()]
    return rows
