"""AWS::EC2::Instance, made from its launch template and its own properties.

moto's own class passes over the template, the key and most other properties, and has no update. What an update does:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-ec2-instance.html
"""

from __future__ import annotations

import base64
import time
from typing import Any

from moto.core.types import Base64EncodedString
from moto.ec2.models import ec2_backends

from scripts.local.aws.account import Account
from scripts.local.aws.spot_requests import record_spot_request
from scripts.local.cloudformation.resources.api_call import call
from scripts.local.cloudformation.resources.launch_template import launch_template_data
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted, tag_ec2

LONGEST_USER_DATA = 16384  # bytes, before base64
DEADLINE = 180.0  # seconds for an instance to change its state
POLL = 0.05

# What RunInstances takes under the template's own names.
PASSED_ON = (
    "BlockDeviceMappings",
    "ImageId",
    "InstanceInitiatedShutdownBehavior",
    "InstanceMarketOptions",
    "InstanceType",
    "KeyName",
    "MetadataOptions",
    "SecurityGroupIds",
    "SubnetId",
)

PROPERTIES = frozenset(
    {
        *PASSED_ON,
        "IamInstanceProfile",
        "LaunchTemplate",
        "PropagateTagsToVolumeOnCreation",
        "TagSpecifications",  # of a launch template: CloudFormation gives tags of its own in their place
        "UserData",
    }
)


def _create(account: Account, wanted: Wanted) -> Resource:
    """Launches the instance and waits until it runs."""
    ec2, merged = account.client("ec2"), _merged(account, wanted.properties)
    asked: dict[str, Any] = {name: merged[name] for name in PASSED_ON if name in merged}
    if "UserData" in merged:
        asked["UserData"] = base64.b64decode(merged["UserData"])  # boto3 encodes it again
    if "IamInstanceProfile" in merged:
        asked["IamInstanceProfile"] = {"Name": merged["IamInstanceProfile"]}
    asked["TagSpecifications"] = _tags_at_launch(wanted, merged)
    instance_id = call(ec2, "RunInstances", MinCount=1, MaxCount=1, **asked)["Instances"][0]["InstanceId"]
    tag_ec2(account, instance_id, wanted, {})
    if "InstanceMarketOptions" in asked:
        record_spot_request(account, instance_id, asked["InstanceMarketOptions"].get("SpotOptions", {}))
    _wait_for(account, instance_id, "running", "stopped", "terminated")
    reason = _describe(account, instance_id).get("StateReason", {})
    if reason.get("Code") == "Server.InternalError":
        raise RuntimeError(reason["Message"])
    return Resource(instance_id)


def _tags_at_launch(wanted: Wanted, properties: dict[str, Any]) -> list[dict[str, Any]]:
    """The instance's own tags, for itself and its volumes.

    A parameter of RunInstances takes the place of the launch template's: neither the template's tags for the instance
    nor those for network interfaces and spot requests arrive.
    Source: https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1947
    """
    tags = [{"Key": key, "Value": value} for key, value in wanted.tags.items()]
    kinds = ["instance", *(["volume"] if properties.get("PropagateTagsToVolumeOnCreation") else [])]
    return [{"ResourceType": kind, "Tags": tags} for kind in kinds if tags]


def _update(account: Account, resource: Resource, wanted: Wanted) -> None:
    """Changes the instance, stopping it and starting it again where that is needed.

    Whether the real service starts a stopped instance whose user data changes is not documented; here it stays stopped,
    so that nothing comes to depend on it. Raises `ValueError`, as the real service fails, when the instance was
    terminated behind CloudFormation's back.
    """
    ec2, instance_id = account.client("ec2"), resource.physical_resource_id
    before, after = resource.properties, wanted.properties
    state = _state(account, instance_id)
    if state in ("shutting-down", "terminated"):
        raise ValueError(f"The instance ID '{instance_id}' does not exist")
    restarts = any(before.get(name) != after.get(name) for name in ("UserData", "InstanceType"))
    runs = state in ("pending", "running")
    if restarts and runs:
        ec2.stop_instances(InstanceIds=[instance_id])
    if restarts:
        _wait_for(account, instance_id, "stopped", "terminated")
    _modify(account, instance_id, after)
    if restarts and runs:
        ec2.start_instances(InstanceIds=[instance_id])
        _wait_for(account, instance_id, "running", "stopped", "terminated")
    tag_ec2(account, instance_id, wanted, before)


def _modify(account: Account, instance_id: str, properties: dict[str, Any]) -> None:
    # Past the API: moto's ModifyInstanceAttribute does not know the shutdown behaviour's own parameter.
    instance = ec2_backends[account.id][account.region].get_instance(instance_id)
    merged = _merged(account, properties)
    instance.user_data = Base64EncodedString(merged["UserData"]) if "UserData" in merged else None
    instance.instance_type = merged["InstanceType"]
    instance.instance_initiated_shutdown_behavior = merged.get("InstanceInitiatedShutdownBehavior", "stop")
    if "SecurityGroupIds" in merged:
        account.client("ec2").modify_instance_attribute(InstanceId=instance_id, Groups=merged["SecurityGroupIds"])


def _delete(account: Account, resource: Resource) -> None:
    """Terminates the instance and waits until it is gone."""
    if _state(account, resource.physical_resource_id) != "terminated":
        account.client("ec2").terminate_instances(InstanceIds=[resource.physical_resource_id])
        _wait_for(account, resource.physical_resource_id, "terminated")


def _merged(account: Account, properties: dict[str, Any]) -> dict[str, Any]:
    """The properties on top of the launch template's. Raises `ValueError` for user data that EC2 would refuse."""
    data = launch_template_data(account, properties.get("LaunchTemplate"))
    unknown = sorted(data.keys() - PROPERTIES)
    if unknown:
        raise ValueError(f"The local cloud does not emulate {', '.join(unknown)} of a launch template")
    merged = {**data, **properties}
    if len(base64.b64decode(merged.get("UserData", ""))) > LONGEST_USER_DATA:
        raise ValueError(f"User data is limited to {LONGEST_USER_DATA} bytes")
    return merged


def _describe(account: Account, instance_id: str) -> dict[str, Any]:
    found = account.client("ec2").describe_instances(InstanceIds=[instance_id])
    instance: dict[str, Any] = found["Reservations"][0]["Instances"][0]
    return instance


def _state(account: Account, instance_id: str) -> str:
    return str(_describe(account, instance_id)["State"]["Name"])


def _wait_for(account: Account, instance_id: str, *states: str) -> None:
    end = time.monotonic() + DEADLINE
    while (state := _state(account, instance_id)) not in states:
        if time.monotonic() > end:
            raise TimeoutError(f"{instance_id} is {state} after {DEADLINE:.0f} s, and not {' or '.join(states)}")
        time.sleep(POLL)


TYPES = {
    "AWS::EC2::Instance": ResourceType(
        _create,
        _delete,
        _update,
        # AWS changes the profile in place; no template of ours does.
        replaced_by=frozenset(
            {"BlockDeviceMappings", "IamInstanceProfile", "ImageId", "KeyName", "LaunchTemplate", "SubnetId"}
        ),
        properties=PROPERTIES,
        takes_long=True,
    )
}
