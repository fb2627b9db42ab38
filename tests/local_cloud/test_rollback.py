"""What fails is rolled back as AWS does, what cannot be rolled back stays so, and each way out of that is AWS's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local.cloudformation.convergence import Convergence
from scripts.local.local_cloud import LocalCloud
from tests.local_cloud.conftest import Stack, machine_template, until
from tests.local_cloud.test_machine import service

pytestmark = pytest.mark.local_cloud

# What EC2 refuses; depends on the machine, so that the machine is there first.
BAD_SUBNET = {
    "Type": "AWS::EC2::Subnet",
    "DependsOn": "Machine",
    "Properties": {"VpcId": "vpc-0123456789abcdef0", "CidrBlock": "10.0.0.0/18"},
}


def bucket(policy: str | None = None) -> dict[str, Any]:
    return {"Type": "AWS::S3::Bucket", **({"DeletionPolicy": policy} if policy else {})}


def with_resources(script: str = "true", **resources: dict[str, Any]) -> dict[str, Any]:
    template = machine_template(script)
    template["Resources"] |= resources
    return template


def begin_update(stack: Stack, template: dict[str, Any], *, rolls_back: bool = True, **parameters: str) -> str:
    """The state after an update."""
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
    stack.client.update_stack(
        StackName=stack.name,
        TemplateBody=json.dumps(template),
        Parameters=given,
        DisableRollback=not rolls_back,
    )
    return settled(stack)


def settled(stack: Stack) -> str:
    until(lambda: not stack.describe()["StackStatus"].endswith("_IN_PROGRESS"), "the operation ends")
    return str(stack.describe()["StackStatus"])


def statuses(stack: Stack) -> dict[str, str]:
    found = stack.client.describe_stack_resources(StackName=stack.name)["StackResources"]
    return {one["LogicalResourceId"]: one["ResourceStatus"] for one in found}


@pytest.fixture
def stuck(stack: Stack) -> Stack:
    """A stack whose instance was terminated behind its back, after an update that asked that instance to change."""
    stack.create(machine_template("sleep 1000 # ${Prompt}"))
    stack.cloud.client("ec2").terminate_instances(InstanceIds=[stack.instance_id])
    stack.until_state("terminated")
    assert begin_update(stack, machine_template("sleep 1000 # ${Prompt}"), Prompt="b") == "UPDATE_ROLLBACK_FAILED"
    return stack


def test_an_update_whose_rollback_fails_is_stuck(stuck: Stack) -> None:
    assert statuses(stuck) == {"Machine": "UPDATE_FAILED"}
    assert stuck.parameters()["Prompt"] == "a"
    for prompt in ("a", "b"):
        with pytest.raises(ClientError, match="is in UPDATE_ROLLBACK_FAILED state and can not be updated"):
            begin_update(stuck, machine_template("true"), Prompt=prompt)
    with pytest.raises(ClientError, match="is in UPDATE_ROLLBACK_FAILED state and can not be updated"):
        stuck.client.create_change_set(
            StackName=stuck.name, ChangeSetName="any", TemplateBody=json.dumps(machine_template("true"))
        )
    with pytest.raises(ClientError, match="can not be rolled back"):
        stuck.client.rollback_stack(StackName=stuck.name)


def test_the_rollback_fails_again_as_long_as_nothing_is_skipped(stuck: Stack) -> None:
    stuck.client.continue_update_rollback(StackName=stuck.name)
    assert settled(stuck) == "UPDATE_ROLLBACK_FAILED"


@pytest.mark.parametrize("how", [{"ResourcesToSkip": ["Machine"]}, {"ForceRollback": True}])
def test_what_is_skipped_passes_for_rolled_back(stuck: Stack, how: dict[str, Any]) -> None:
    gone = stuck.instance_id
    stuck.client.continue_update_rollback(StackName=stuck.name, **how)
    assert settled(stuck) == "UPDATE_ROLLBACK_COMPLETE"
    assert statuses(stuck) == {"Machine": "UPDATE_COMPLETE"}
    # It is still gone: only another one in its place helps.
    assert begin_update(stuck, machine_template("true", KeyName="other")) == "UPDATE_COMPLETE"
    assert stuck.instance_id != gone


def test_only_what_failed_can_be_skipped(stuck: Stack) -> None:
    with pytest.raises(ClientError, match="UPDATE_FAILED"):
        stuck.client.continue_update_rollback(StackName=stuck.name, ResourcesToSkip=["Other"])
    assert settled(stuck) == "UPDATE_ROLLBACK_FAILED"


def test_nothing_else_can_be_continued(stack: Stack) -> None:
    stack.create({"Resources": {"Bucket": bucket()}})
    with pytest.raises(ClientError, match="is in CREATE_COMPLETE state"):
        stack.client.continue_update_rollback(StackName=stack.name)


@pytest.mark.parametrize(("policy", "stays"), [("Retain", True), ("RetainExceptOnCreate", False), ("Delete", False)])
def test_what_a_failed_operation_made_stays_only_with_retain(
    stack: Stack, cloud: LocalCloud, policy: str, stays: bool
) -> None:
    stack.create(machine_template("true"))
    before = set(bucket_names(cloud))
    assert (
        begin_update(stack, with_resources(Bucket=bucket(policy), Subnet={**BAD_SUBNET, "DependsOn": "Bucket"}))
        == "UPDATE_ROLLBACK_COMPLETE"
    )
    assert bool(set(bucket_names(cloud)) - before) == stays


@pytest.mark.parametrize(("policy", "stays"), [("Retain", True), ("RetainExceptOnCreate", False), ("Delete", False)])
def test_so_it_is_with_a_creation(stack: Stack, cloud: LocalCloud, policy: str, stays: bool) -> None:
    before = set(bucket_names(cloud))
    stack.fail_to_create(with_resources(Bucket=bucket(policy), Subnet={**BAD_SUBNET, "DependsOn": "Bucket"}))
    assert bool(set(bucket_names(cloud)) - before) == stays


def bucket_names(cloud: LocalCloud) -> list[str]:
    return [one["Name"] for one in cloud.client("s3").list_buckets()["Buckets"]]


@pytest.mark.parametrize("policy", ["Retain", "RetainExceptOnCreate"])
def test_another_deletion_policy_alone_replaces_nothing_and_holds(stack: Stack, cloud: LocalCloud, policy: str) -> None:
    """Also for a bucket that an earlier operation made."""
    stack.create(with_resources(Bucket=bucket("Delete")))
    name = stack.physical_id("Bucket")
    assert begin_update(stack, with_resources("echo other", Bucket=bucket(policy))) == "UPDATE_COMPLETE"
    assert stack.physical_id("Bucket") == name
    assert (
        begin_update(stack, with_resources("echo third", Bucket=bucket(policy), Subnet=BAD_SUBNET))
        == "UPDATE_ROLLBACK_COMPLETE"
    )
    assert stack.physical_id("Bucket") == name
    stack.delete()
    assert name in bucket_names(cloud)


@pytest.fixture
def filled_too_soon(stack: Stack, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bucket of a creation that failed, which somebody wrote into before it was rolled back."""
    delete_all = Convergence.delete_all
    found: list[str] = []

    def fill_first(work: Convergence, **more: Any) -> None:
        found.append(stack.physical_id("Bucket"))
        cloud.client("s3").put_object(Bucket=found[0], Key="image.png", Body=b"png")
        delete_all(work, **more)

    monkeypatch.setattr(Convergence, "delete_all", fill_first)
    bad_queue = {"Type": "AWS::SQS::Queue", "DependsOn": "Bucket", "Properties": {"QueueName": "no such/name"}}
    template = {"Resources": {"Bucket": bucket("RetainExceptOnCreate"), "Queue": bad_queue}}
    stack.client.create_stack(StackName=stack.name, TemplateBody=json.dumps(template))
    assert settled(stack) == "ROLLBACK_FAILED"
    monkeypatch.undo()
    return found[0]


def test_a_bucket_that_is_not_empty_stops_the_rollback_of_a_creation(stack: Stack, filled_too_soon: str) -> None:
    assert statuses(stack) == {"Bucket": "DELETE_FAILED"}
    assert any("not empty" in reason for reason in stack.reasons())
    with pytest.raises(ClientError, match="is in ROLLBACK_FAILED state and can not be updated"):
        begin_update(stack, {"Resources": {"Bucket": bucket()}})
    with pytest.raises(ClientError, match="only when the stack is in the DELETE_FAILED state"):
        stack.client.delete_stack(StackName=stack.name, RetainResources=["Bucket"])


def test_its_deletion_keeps_the_bucket_because_another_operation_made_it(
    stack: Stack, cloud: LocalCloud, filled_too_soon: str
) -> None:
    stack.delete()
    assert cloud.client("s3").list_objects_v2(Bucket=filled_too_soon)["KeyCount"] == 1


def test_a_deletion_goes_on_without_what_is_retained(stack: Stack, cloud: LocalCloud) -> None:
    stack.create({"Resources": {"Bucket": bucket(), "Queue": {"Type": "AWS::SQS::Queue"}}})
    name = stack.physical_id("Bucket")
    cloud.client("s3").put_object(Bucket=name, Key="image.png", Body=b"png")
    stack.client.delete_stack(StackName=stack.name)
    assert settled(stack) == "DELETE_FAILED"
    assert statuses(stack) == {"Bucket": "DELETE_FAILED"}, "all else is deleted"
    with pytest.raises(ClientError, match="can not be updated"):
        begin_update(stack, {"Resources": {"Bucket": bucket()}})
    with pytest.raises(ClientError, match="must be in a valid state"):
        stack.client.delete_stack(StackName=stack.name, RetainResources=["Bucket", "Queue"])
    stack.delete("Bucket")
    assert name in bucket_names(cloud)


@pytest.mark.parametrize("begun", ["CREATE_FAILED", "UPDATE_FAILED"])
def test_what_was_told_not_to_roll_back_waits_for_it(stack: Stack, cloud: LocalCloud, begun: str) -> None:
    good: dict[str, Any] = {"Resources": {"Bucket": bucket("Retain")}}
    bad = {"Resources": {**good["Resources"], "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "a/b"}}}}
    bad["Resources"]["Queue"]["DependsOn"] = "Bucket"
    before = set(bucket_names(cloud))
    named = {"StackName": stack.name, "ChangeSetName": "any"}
    if begun == "UPDATE_FAILED":
        stack.create(good)
    kind: Any = begun.removesuffix("_FAILED")
    stack.client.create_change_set(ChangeSetType=kind, TemplateBody=json.dumps(bad), **named)
    stack.client.execute_change_set(DisableRollback=True, **named)
    assert settled(stack) == begun
    with pytest.raises(ClientError, match=rf"non-terminal \[{begun}\] state.*disable-rollback"):
        begin_update(stack, bad)
    stack.client.rollback_stack(StackName=stack.name, RetainExceptOnCreate=True)
    assert settled(stack) == ("ROLLBACK_COMPLETE" if kind == "CREATE" else "UPDATE_ROLLBACK_COMPLETE")
    # Made with Retain, but by the operation that is rolled back.
    assert bool(set(bucket_names(cloud)) - before) == (kind == "UPDATE")


@pytest.mark.parametrize(
    ("order", "ended"), [([], "DELETE_FAILED"), (["Emptier"], "gone")], ids=["side by side", "one after the other"]
)
def test_what_nothing_depends_on_is_deleted_while_the_machine_goes(stack: Stack, order: list[str], ended: str) -> None:
    """So a bucket that is emptied without waiting for the machine is full again when it is to be deleted."""
    keys = "AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any"
    writes = service("exec sleep 600", f"{keys} aws s3 cp /etc/hostname s3://${{Bucket}}/late")
    emptier = {"ServiceToken": "any", "BucketName": {"Ref": "Bucket"}}
    template = with_resources(
        writes,
        Bucket=bucket("Delete"),
        Emptier={"Type": "Custom::S3AutoDeleteObjects", "Properties": emptier},
    )
    template["Resources"]["Machine"]["DependsOn"] = order
    stack.create(template)
    until(lambda: stack.lines("started"), "the worker is up")
    stack.client.delete_stack(StackName=stack.name)
    until(lambda: state_of(stack) in ("DELETE_FAILED", "gone"), "the deletion ends")
    assert state_of(stack) == ended


def state_of(stack: Stack) -> str:
    try:
        return str(stack.describe()["StackStatus"])
    except ClientError:
        return "gone"
