"""The ways into a stack that is stuck, by plain `cdk deploy`, and the way out of it by `sd deploy`."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from rich.console import Console

from scripts.command_line.deploying.way_out import delete_the_rest
from scripts.command_line.terminal.command_error import CommandError
from scripts.local.cloudformation.convergence import Convergence
from scripts.local.cloudformation.resources import watching
from scripts.local.local_cloud import LocalCloud
from tests.local_cloud.conftest import Stack, hanging, machines_hang, until
from tests.local_cloud.test_capacity import SMALL
from tests.local_cloud.test_quotas_and_prices import run_sd

pytestmark = pytest.mark.local_cloud


class Deployed:
    """The stack of the product, as its outputs tell of it."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.client = cloud.client("cloudformation")

    @property
    def state(self) -> str:
        return str(self.client.describe_stacks(StackName="SdOnEc2")["Stacks"][0]["StackStatus"])

    def output(self, name: str) -> str:
        (stack,) = self.client.describe_stacks(StackName="SdOnEc2")["Stacks"]
        (value,) = [one["OutputValue"] for one in stack["Outputs"] if one["OutputKey"] == name]
        return str(value)

    def instance(self, instance_id: str) -> str:
        found = self.cloud.client("ec2").describe_instances(InstanceIds=[instance_id])
        return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])


@pytest.fixture
def deployed(cloud: LocalCloud) -> Iterator[Deployed]:
    cloud.bootstrap()
    with machines_hang():
        yield Deployed(cloud)
    Stack(cloud, "SdOnEc2").delete()


def test_after_a_termination_by_hand(cloud: LocalCloud, deployed: Deployed, tmp_path: Path) -> None:
    deployed.client.create_stack(StackName="SdOnEc2", TemplateBody=json.dumps(hanging(tmp_path)))
    until(lambda: deployed.state == "CREATE_COMPLETE", "it stands")
    gone, bucket = deployed.output("InstanceId"), deployed.output("ResultsBucket")
    cloud.client("s3").put_object(Bucket=bucket, Key="runs/a-horse/job.json", Body=b"{}", IfNoneMatch="*")
    cloud.client("ec2").terminate_instances(InstanceIds=[gone])
    until(lambda: deployed.instance(gone) == "terminated", "the instance is gone")
    # As plain `cdk deploy` of another prompt does.
    another = {"ParameterKey": "Prompt", "ParameterValue": "a cat"}
    deployed.client.update_stack(StackName="SdOnEc2", UsePreviousTemplate=True, Parameters=[another])
    until(lambda: deployed.state == "UPDATE_ROLLBACK_FAILED", "it is stuck")

    _, said, _ = run_sd(cloud, "status")
    assert "`sd deploy` puts that right, then deploys" in said
    status, _, errors = run_sd(cloud, "deploy", "a tree", "--yes", *SMALL)  # the run that was there has not begun
    assert status == 0, errors
    assert errors.index("is UPDATE_ROLLBACK_FAILED") < errors.index("Continuing rollback of stack SdOnEc2")
    assert deployed.state == "UPDATE_COMPLETE"
    assert deployed.output("InstanceId") != gone
    assert deployed.instance(deployed.output("InstanceId")) == "running"
    assert deployed.output("ResultsBucket") == bucket
    assert cloud.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] > 0


@pytest.mark.long
def test_after_a_creation_that_failed_when_the_bucket_had_images(
    cloud: LocalCloud, deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alarm comes after the instance, which may have drawn by then."""
    delete_all, filled = Convergence.delete_all, list[str]()

    def fill_first(work: Convergence, **more: Any) -> None:
        resources = cloud.client("cloudformation").describe_stack_resources(StackName="SdOnEc2")["StackResources"]
        filled.extend(one["PhysicalResourceId"] for one in resources if one["ResourceType"] == "AWS::S3::Bucket")
        cloud.client("s3").put_object(Bucket=filled[0], Key="runs/a-horse/image.png", Body=b"png")
        delete_all(work, **more)

    def no_alarm(*_: Any) -> None:
        raise ValueError("no alarm to-day")

    with monkeypatch.context() as patch:
        patch.setattr(Convergence, "delete_all", fill_first)
        patch.setattr(watching, "call", no_alarm)
        assert run_sd(cloud, "deploy", "a horse", *SMALL)[0] == 1
    assert deployed.state == "ROLLBACK_FAILED"
    (first,) = filled

    status, _, errors = run_sd(cloud, "deploy", "a horse", *SMALL)
    assert status == 0, errors
    assert f"Bucket {first} stays: `sd results --bucket {first}`" in errors
    assert deployed.state == "CREATE_COMPLETE"
    assert deployed.output("ResultsBucket") != first
    assert cloud.client("s3").list_objects_v2(Bucket=first)["KeyCount"] == 1


@pytest.fixture
def session(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    for name, value in cloud.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return boto3.Session()


def test_of_a_deletion_that_fails_only_the_bucket_is_left(
    session: boto3.Session, stack: Stack, cloud: LocalCloud
) -> None:
    stack.create({"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}, "Queue": {"Type": "AWS::SQS::Queue"}}})
    name = stack.physical_id("Bucket")
    cloud.client("s3").put_object(Bucket=name, Key="image.png", Body=b"png")
    console = Console(file=io.StringIO(), width=1000)
    delete_the_rest(session, stack.name, console)
    with pytest.raises(ClientError, match="does not exist"):
        stack.describe()
    assert f"Bucket {name} stays" in console.file.getvalue()  # type: ignore[attr-defined]
    assert cloud.client("s3").list_objects_v2(Bucket=name)["KeyCount"] == 1


def test_what_costs_money_is_never_left_behind(session: boto3.Session, stack: Stack, cloud: LocalCloud) -> None:
    stack.create({"Resources": {"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}}})
    subnet = cloud.client("ec2").create_subnet(VpcId=stack.physical_id("Vpc"), CidrBlock="10.0.0.0/18")["Subnet"]
    with pytest.raises(CommandError, match=rf"Not all of the stack {stack.name} could be deleted .Vpc: .*dependencies"):
        delete_the_rest(session, stack.name, Console(quiet=True))
    assert stack.describe()["StackStatus"] == "DELETE_FAILED"
    cloud.client("ec2").delete_subnet(SubnetId=subnet["SubnetId"])
