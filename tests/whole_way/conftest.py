"""A local cloud with the real stack's way into it, and a person's commands."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from scripts.local.local_cloud import LocalCloud
from tests import terminal
from userdata.job.job import Job

QUICK = {"Model": "tiny", "Height": "64", "Width": "64", "Steps": "2", "IdleMinutes": "0"}
PATIENCE = 300.0
# Each command and each wait of a test has a deadline of its own; this one is for what hangs beside them. A test that
# takes two minutes on a computer of its own takes ten where a dozen others share the processors.
TEST_SECONDS = 1800
Found = TypeVar("Found")


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as running:
        running.bootstrap()
        yield running


class Person:
    """Somebody with a terminal in the checkout and the local cloud as their AWS account."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self.cloud = cloud
        self.folder = folder

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return terminal.run(self.cloud, *command)

    def cdk(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run("cdk", command, "--output", str(self.folder / "cdk.out"), *options)

    def deploy(self, **parameters: str) -> str:
        """`cdk deploy`; what it printed comes back."""
        options = [word for name, value in parameters.items() for word in ("--parameters", f"{name}={value}")]
        finished = self.cdk("deploy", *options)
        assert finished.returncode == 0, finished.stdout
        return finished.stdout

    def sd(self, *arguments: str) -> str:
        finished = self.run("scripts/sd", *arguments)
        assert finished.returncode == 0, finished.stdout
        return finished.stdout

    def output(self, name: str) -> str:
        stack = self.cloud.client("cloudformation").describe_stacks(StackName="SdOnEc2")["Stacks"][0]
        return str(next(output["OutputValue"] for output in stack["Outputs"] if output["OutputKey"] == name))

    def instance(self) -> dict[str, Any]:
        described = self.cloud.client("ec2").describe_instances(InstanceIds=[self.output("InstanceId")])
        instance: dict[str, Any] = described["Reservations"][0]["Instances"][0]
        return instance

    def objects(self, bucket: str, prefix: str = "") -> dict[str, dict[str, Any]]:
        pages = self.cloud.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {entry["Key"]: entry for page in pages for entry in page.get("Contents", [])}

    def read(self, bucket: str, key: str) -> Any:
        return json.loads(self.cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())

    def images(self, bucket: str, run_id: str) -> list[str]:
        return [key for key in self.objects(bucket, f"runs/{run_id}/") if "/samples/" in key and key.endswith(".png")]

    def wait_for_run(self, bucket: str, run_id: str, *, after: str = "") -> dict[str, Any]:
        """Waits for the end of a run, told after the time `after`."""
        key = f"runs/{run_id}/status.json"

        def finished() -> dict[str, Any] | None:
            status = self.read(bucket, key) if key in self.objects(bucket, key) else {}
            ended = status.get("phase") in ("done", "failed") and status["updated_at"] > after
            return status if ended else None

        status = wait_for(finished, f"the end of {run_id}")
        assert status["phase"] == "done", status
        return status

    def wait_for_state(self, state: str) -> None:
        wait_for(lambda: self.instance()["State"]["Name"] == state, f"the instance to be {state}")


def wait_for(condition: Callable[[], Found | None], what: str, seconds: float = PATIENCE) -> Found:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


@pytest.fixture
def person(cloud: LocalCloud, tmp_path: Path) -> Person:
    return Person(cloud, tmp_path)


def run_id_of(**parameters: str) -> str:
    names = {field.alias for field in Job.model_fields.values()}
    return Job.model_validate({name: value for name, value in parameters.items() if name in names}).name
