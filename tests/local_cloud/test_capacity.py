"""Where EC2 has no instance to give, the ladder finds another type or zone, and a stack that stands moves there."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.local.local_cloud import LocalCloud
from tests.local_cloud.conftest import Stack, machines_hang, until
from tests.local_cloud.test_quotas_and_prices import ROOT, run_sd

pytestmark = pytest.mark.local_cloud

SMALL = ("--model", "tiny", "--iterations", "1", "--samples", "1", "--height", "64", "--width", "64", "--steps", "1")
TYPES = "--types=g6.xlarge,g5.xlarge,g4dn.xlarge"


@pytest.fixture
def deployed(cloud: LocalCloud) -> Iterator[LocalCloud]:
    cloud.bootstrap()
    cloud.capacity.reservations.clear()
    with machines_hang():
        yield cloud
    cloud.capacity.sold_out.clear()
    Stack(cloud, "SdOnEc2").delete()


def test_a_deploy_climbs_and_a_start_without_capacity_moves_the_instance(deployed: LocalCloud) -> None:
    cloud = deployed
    cloud.capacity.sell_out("g6.xlarge", "us-east-1a")
    status, _, errors = run_sd(cloud, "deploy", "a horse", *SMALL)
    assert status == 1, errors
    assert "AWS has no such instance to give in this zone at the moment" in errors
    command = re.search(r"Let it look in every zone: sd (deploy .*)$", errors, re.MULTILINE)
    assert command, errors
    words = shlex.split(command[1])
    assert {"--model=tiny", "--steps=1", "--types=g6.xlarge,g5.xlarge,g4dn.xlarge"} <= set(words)

    # The cheapest type is sold out everywhere, the next one in its first zone.
    cloud.capacity.sell_out("g4dn.xlarge")
    status, _, errors = run_sd(cloud, *words)
    assert status == 0, errors
    assert "g6.xlarge in us-east-1b, $0.8048 an hour: held, deploying." in errors
    assert type_and_zone(cloud) == ("g6.xlarge", "us-east-1b")
    (held,) = cloud.capacity.reservations
    assert (held.state, [one.id for one in held.instances]) == ("cancelled", [only_instance(cloud)["InstanceId"]])

    # The stopped instance's zone is sold out: a new one takes its place. Parameters and settings stay.
    cloud.client("ec2").stop_instances(InstanceIds=[only_instance(cloud)["InstanceId"]])
    until(lambda: only_instance(cloud)["State"]["Name"] == "stopped", "the instance is stopped")
    cloud.capacity.sell_out("g6.xlarge", "us-east-1b")
    status, _, errors = run_sd(cloud, "start")
    assert status == 1, errors
    assert "`sd start --types g6.xlarge,g5.xlarge,g4dn.xlarge`" in errors
    status, _, errors = run_sd(cloud, "start", "--types", "g6.xlarge", "--yes")
    assert status == 0, errors
    assert errors.count("Account ") == 1
    assert type_and_zone(cloud) == ("g6.xlarge", "us-east-1c")
    assert [one.state for one in cloud.capacity.reservations] == ["cancelled", "cancelled"]


def test_what_a_killed_deploy_holds_the_next_call_cancels_and_a_deployed_type_stays(
    deployed: LocalCloud, tmp_path: Path
) -> None:
    cloud = deployed
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.command_line", "deploy", "a horse", *SMALL, TYPES],
        cwd=ROOT, env=cloud.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    until(lambda: cloud.capacity.reservations, "something is held")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert cloud.capacity.reservations[-1].state == "active"
    status, printed, _ = run_sd(cloud, "teardown", "--audit-only")
    assert status == 1
    assert "capacity reservation" in printed
    # The next call cancels it first, because it counts in the quota; that call is refused for its own type's quota.
    status, _, errors = run_sd(cloud, "deploy", "a horse", *SMALL, "--types", "p5.4xlarge")
    assert status == 1, errors
    assert "which an earlier call held" in errors
    assert {one.state for one in cloud.capacity.reservations} == {"cancelled"}

    # A deployed type stays, whatever the default is: the CDK sends the deployed value of what is not given.
    status, _, errors = run_sd(cloud, "deploy", "a horse", *SMALL, "--types", "g5.xlarge")
    assert status == 0, errors
    assert type_and_zone(cloud) == ("g5.xlarge", "us-east-1a")
    cdk = ["cdk", "deploy", "--output", str(tmp_path), "--require-approval", "never", "--parameters", "Prompt=a house"]
    subprocess.run(cdk, cwd=ROOT, env=cloud.environment, check=True, capture_output=True)
    assert type_and_zone(cloud) == ("g5.xlarge", "us-east-1a")


def only_instance(cloud: LocalCloud) -> dict[str, Any]:
    reservations = cloud.client("ec2").describe_instances()["Reservations"]
    instances = [instance for one in reservations for instance in one["Instances"]]
    found: dict[str, Any]
    (found,) = [one for one in instances if one["State"]["Name"] not in ("terminated", "shutting-down")]
    return found


def type_and_zone(cloud: LocalCloud) -> tuple[str, str]:
    found = only_instance(cloud)
    return found["InstanceType"], found["Placement"]["AvailabilityZone"]
