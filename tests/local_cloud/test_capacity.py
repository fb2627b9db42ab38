"""A zone that is sold out: the deploy says what to type next, and a stack that stands moves to any other zone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import InstanceBackend

from scripts.local.aws.replaced import replaced
from scripts.local.local_cloud import LocalCloud
from tests.local_cloud.conftest import Stack
from tests.local_cloud.test_quotas_and_prices import run_sd

pytestmark = pytest.mark.local_cloud

SMALL = ("--model", "tiny", "--iterations", "1", "--samples", "1", "--height", "64", "--width", "64", "--steps", "1")


@pytest.fixture
def sold_out() -> Iterator[set[str]]:
    """Zones in which EC2 has no instance to give."""
    zones = {"us-east-1a"}
    original = InstanceBackend.run_instances

    def refuse(backend: Any, *given: Any, **more: Any) -> Any:
        subnet = backend.get_subnet(more["subnet_id"]) if more.get("subnet_id") else None
        if subnet is not None and subnet.availability_zone in zones:
            raise EC2ClientError(
                "InsufficientInstanceCapacity",
                "We currently do not have sufficient g5.xlarge capacity in the Availability Zone you requested "
                f"({subnet.availability_zone}).",
            )
        return original(backend, *given, **more)

    with replaced({(InstanceBackend, "run_instances"): refuse}):
        yield zones


def test_the_next_zone_is_named_with_the_whole_command_and_a_stack_can_move_on(
    cloud: LocalCloud, sold_out: set[str]
) -> None:
    cloud.bootstrap()
    status, _, errors = run_sd(cloud, "deploy", "a horse", *SMALL)
    assert status == 1, errors
    assert "AWS has no such instance to give in this zone at the moment" in errors
    command = re.search(r"Try the next zone: sd (deploy .*-c az=us-east-1b.*)$", errors, re.MULTILINE)
    assert command, errors
    words = shlex.split(command[1])
    assert words[:2] == ["deploy", "a horse"]
    assert {"--model=tiny", "--iterations=1", "--samples=1", "--height=64", "--width=64", "--steps=1"} <= set(words)
    assert run_sd(cloud, *words)[0] == 0
    assert zone_of_instance(cloud) == "us-east-1b"
    status, _, errors = run_sd(cloud, "deploy", "-c", "az=us-east-1c", "-c", "zones=us-east-1a,us-east-1b")
    assert status == 0, errors
    assert zone_of_instance(cloud) == "us-east-1c"
    Stack(cloud, "SdOnEc2").delete()


def zone_of_instance(cloud: LocalCloud) -> str:
    reservations = cloud.client("ec2").describe_instances()["Reservations"]
    instances = [instance for one in reservations for instance in one["Instances"]]
    (zone,) = [one["Placement"]["AvailabilityZone"] for one in instances if one["State"]["Name"] != "terminated"]
    return str(zone)
