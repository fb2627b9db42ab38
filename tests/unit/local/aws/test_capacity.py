"""The emulated EC2 gives what it has, and what is reserved, to whom AWS documents that it does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from scripts.command_line.deploying.capacity import SPOT_QUOTA, VCPU_QUOTA, meaning_of
from scripts.local.aws.capacity import ENDS_WITHIN, Capacity


@pytest.fixture
def capacity() -> Iterator[Capacity]:
    made = Capacity()
    with mock_aws(), made.limited():
        yield made


@pytest.fixture
def ec2(capacity: Capacity) -> Any:
    return boto3.client("ec2", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")


def reserve(ec2: Any, zone: str = "us-east-1a") -> dict[str, Any]:
    made: dict[str, Any] = ec2.create_capacity_reservation(
        InstanceType="g6.xlarge", AvailabilityZone=zone, InstancePlatform="Linux/UNIX", Tenancy="default",
        InstanceCount=1, InstanceMatchCriteria="open", EndDateType="limited",
        EndDate=datetime.now(UTC) + timedelta(minutes=10),
    )["CapacityReservation"]  # fmt: skip
    return made


def launch(ec2: Any, zone: str = "us-east-1a", **more: Any) -> str:
    launched = ec2.run_instances(
        ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="g6.xlarge",
        Placement={"AvailabilityZone": zone}, **more,
    )  # fmt: skip
    return str(launched["Instances"][0]["InstanceId"])


def test_what_was_reserved_is_there_for_one_instance_on_demand_although_the_type_is_sold_out_since(
    ec2: Any, capacity: Capacity
) -> None:
    reserve(ec2)
    capacity.sell_out("g6.xlarge")
    spot: Any = {"InstanceMarketOptions": {"MarketType": "spot"}}
    with pytest.raises(ClientError, match="no Spot capacity available"):
        launch(ec2, **spot)
    with pytest.raises(ClientError, match="sufficient g6.xlarge capacity"):
        launch(ec2, "us-east-1b")
    first = launch(ec2)
    assert ec2.describe_capacity_reservations()["CapacityReservations"][0]["AvailableInstanceCount"] == 0
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        launch(ec2)
    # The place is there again for who stops and starts.
    ec2.stop_instances(InstanceIds=[first])
    ec2.start_instances(InstanceIds=[first])
    ec2.stop_instances(InstanceIds=[first])
    ec2.cancel_capacity_reservation(CapacityReservationId=capacity.reservations[0].id)
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        ec2.start_instances(InstanceIds=[first])


def test_an_instance_that_runs_takes_the_place_at_once_and_it_counts_once_in_the_quota(ec2: Any) -> None:
    launch(ec2)
    assert reserve(ec2)["AvailableInstanceCount"] == 0
    assert reserve(ec2)["AvailableInstanceCount"] == 1
    with pytest.raises(ClientError, match="InstanceLimitExceeded"):
        reserve(ec2)


def test_a_launch_and_a_start_beyond_the_quota_are_refused_in_ec2s_words(ec2: Any) -> None:
    """What is stopped does not count, and on demand and spot are two quotas of 8 vCPUs."""
    spot: Any = {"InstanceMarketOptions": {"MarketType": "spot"}}
    stopped = launch(ec2)
    ec2.stop_instances(InstanceIds=[stopped])
    for _ in range(2):
        launch(ec2)
        launch(ec2, **spot)
    for what, action in (
        (VCPU_QUOTA, lambda: launch(ec2)),
        (VCPU_QUOTA, lambda: ec2.start_instances(InstanceIds=[stopped])),
        (SPOT_QUOTA, lambda: launch(ec2, **spot)),
    ):
        with pytest.raises(ClientError) as refusal:
            action()
        assert meaning_of(str(refusal.value)) == what


def test_a_reservation_ends_by_itself_at_the_latest_moment(ec2: Any, capacity: Capacity) -> None:
    reserve(ec2)
    (made,) = capacity.reservations
    made.ends_at = datetime.now(UTC) - ENDS_WITHIN + timedelta(minutes=1)
    assert made.state == "active"
    made.ends_at -= timedelta(minutes=2)
    assert made.state == "expired"
    with pytest.raises(ClientError, match="NotFound"):
        ec2.cancel_capacity_reservation(CapacityReservationId=made.id)


def test_what_is_not_emulated_is_refused(ec2: Any) -> None:
    with pytest.raises(ClientError, match="does not emulate the filter tenancy"):
        ec2.describe_capacity_reservations(Filters=[{"Name": "tenancy", "Values": ["default"]}])
