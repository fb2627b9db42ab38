"""AWS::EC2::Instance."""

from __future__ import annotations

import base64
import time
from typing import Any

from moto.core.types import Base64EncodedString
from moto.ec2.models import ec2_backends

from scripts.local.aws.account import Account
from scripts.local.aws.spot_requests import record_spot_request
from scripts.local.cloudformation.resources.api_parameters import api_parameters
from scripts.local.cloudformation.resources.launch_template_data import launch_template_data
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted, tag_ec2

LONGEST_USER_DATA = 16384  # bytes, before base64
DEADLINE = 180.0  # seconds for an instance to change its state
POLL = 0.05

# What RunInstances takes under the template's own names.
PASSED_ON = (
    "BlockDeviceMappings",
    "DisableApiTermination",
    "EbsOptimized",
    "ImageId",
    "InstanceInitiatedShutdownBehavior",
    "InstanceMarketOptions",
    "InstanceType",
    "KeyName",
    "MetadataOptions",
    "Monitoring",
    "NetworkInterfaces",
    "PrivateIpAddress",
    "SecurityGroupIds",
    "SecurityGroups",
    "SubnetId",
    "TagSpecifications",
    "UserData",
)


class Instance(ResourceType):
    """An instance, made from its launch template and its own properties.

    moto's own class passes over the template, the key and most other properties, and has no update. What an update
    does is in https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-ec2-instance.html
    """

    type = "AWS::EC2::Instance"
    replaced_by = frozenset(
        {
            "AvailabilityZone",
            "BlockDeviceMappings",
            "ImageId",
            "KeyName",
            "LaunchTemplate",
            "NetworkInterfaces",
            "PrivateIpAddress",
            "SecurityGroups",
            "SubnetId",
        }
    )

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Launches the instance and waits until it runs."""
        ec2, asked = account.client("ec2"), _run_parameters(account, wanted.properties)
        launched = ec2.run_instances(MinCount=1, MaxCount=1, **api_parameters(ec2, "RunInstances", asked))
        instance_id = launched["Instances"][0]["InstanceId"]
        tag_ec2(account, instance_id, wanted)
        if "InstanceMarketOptions" in asked:
            record_spot_request(account, instance_id, asked)
        _wait_for(account, instance_id, "running", "stopped", "terminated")
        reason = _describe(account, instance_id).get("StateReason", {})
        if reason.get("Code") == "Server.InternalError":
            raise RuntimeError(reason["Message"])
        return Resource(instance_id, lambda name: _attribute(account, instance_id, name))

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Changes the instance, stopping it and starting it again where that is needed.

        Whether the real service starts a stopped instance whose user data changes is not documented; here it stays
        stopped, so that nothing comes to depend on it. Raises `ValueError`, as the real service fails, when it was
        terminated behind CloudFormation's back.
        """
        before, after = resource.properties, wanted.properties
        if _state(account, resource.physical_resource_id) in ("shutting-down", "terminated"):
            raise ValueError(f"The instance ID '{resource.physical_resource_id}' does not exist")
        if any(before.get(name) != after.get(name) for name in ("UserData", "InstanceType", "EbsOptimized")):
            was_running = _state(account, resource.physical_resource_id) in ("pending", "running")
            self._stop(account, resource.physical_resource_id)
            self._modify(account, resource.physical_resource_id, after)
            if was_running:
                account.client("ec2").start_instances(InstanceIds=[resource.physical_resource_id])
                _wait_for(account, resource.physical_resource_id, "running", "stopped", "terminated")
        else:
            self._modify(account, resource.physical_resource_id, after)
        if before.get("IamInstanceProfile") != after.get("IamInstanceProfile"):
            _set_profile(account, resource.physical_resource_id, after.get("IamInstanceProfile"))
        tag_ec2(account, resource.physical_resource_id, wanted, resource)

    def delete(self, account: Account, resource: Resource) -> None:
        """Terminates the instance and waits until it is gone."""
        if _state(account, resource.physical_resource_id) == "terminated":
            return
        account.client("ec2").terminate_instances(InstanceIds=[resource.physical_resource_id])
        _wait_for(account, resource.physical_resource_id, "terminated")

    @staticmethod
    def _stop(account: Account, instance_id: str) -> None:
        if _state(account, instance_id) in ("pending", "running"):
            account.client("ec2").stop_instances(InstanceIds=[instance_id])
        _wait_for(account, instance_id, "stopped", "terminated")

    @staticmethod
    def _modify(account: Account, instance_id: str, properties: dict[str, Any]) -> None:
        # Past the API: moto's ModifyInstanceAttribute does not know the shutdown behaviour's own parameter.
        instance = ec2_backends[account.id][account.region].get_instance(instance_id)
        merged = {**launch_template_data(account, properties.get("LaunchTemplate")), **properties}
        user_data = merged.get("UserData")
        _check_user_data(user_data)
        instance.user_data = Base64EncodedString(user_data) if user_data else None
        instance.instance_type = merged.get("InstanceType", instance.instance_type)
        instance.instance_initiated_shutdown_behavior = merged.get("InstanceInitiatedShutdownBehavior", "stop")
        if "SecurityGroupIds" in merged:
            account.client("ec2").modify_instance_attribute(InstanceId=instance_id, Groups=merged["SecurityGroupIds"])


def _run_parameters(account: Account, properties: dict[str, Any]) -> dict[str, Any]:
    template = launch_template_data(account, properties.get("LaunchTemplate"))
    merged = {**template, **properties}
    _check_user_data(merged.get("UserData"))
    asked: dict[str, Any] = {name: merged[name] for name in PASSED_ON if name in merged}
    if "UserData" in asked:
        asked["UserData"] = base64.b64decode(asked["UserData"])  # boto3 encodes it again
    if "NetworkInterfaces" in asked:
        asked["NetworkInterfaces"] = [_network_interface(one) for one in asked["NetworkInterfaces"]]
    if isinstance(asked.get("Monitoring"), (str, bool)):
        asked["Monitoring"] = {"Enabled": asked["Monitoring"]}
    if "AvailabilityZone" in merged:
        asked["Placement"] = {"AvailabilityZone": merged["AvailabilityZone"]}
    profile = merged.get("IamInstanceProfile")
    if profile:
        asked["IamInstanceProfile"] = {"Name": profile} if isinstance(profile, str) else profile
    return asked


def _network_interface(properties: dict[str, Any]) -> dict[str, Any]:
    renamed = {"GroupSet": "Groups"}  # the template's name, and the API's
    return {renamed.get(name, name): value for name, value in properties.items()}


def _check_user_data(encoded: str | None) -> None:
    if encoded and len(base64.b64decode(encoded)) > LONGEST_USER_DATA:
        raise ValueError(f"User data is limited to {LONGEST_USER_DATA} bytes")


def _set_profile(account: Account, instance_id: str, profile: str | None) -> None:
    ec2 = account.client("ec2")
    associations = ec2.describe_iam_instance_profile_associations(
        Filters=[{"Name": "instance-id", "Values": [instance_id]}]
    )["IamInstanceProfileAssociations"]
    for association in associations:
        ec2.disassociate_iam_instance_profile(AssociationId=association["AssociationId"])
    if profile:
        ec2.associate_iam_instance_profile(InstanceId=instance_id, IamInstanceProfile={"Name": profile})


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


def _attribute(account: Account, instance_id: str, name: str) -> Any:
    instance = _describe(account, instance_id)
    return {
        "InstanceId": instance_id,
        "AvailabilityZone": instance["Placement"]["AvailabilityZone"],
        "PrivateDnsName": instance.get("PrivateDnsName", ""),
        "PublicDnsName": instance.get("PublicDnsName", ""),
        "PrivateIp": instance.get("PrivateIpAddress", ""),
        "PublicIp": instance.get("PublicIpAddress", ""),
        "VpcId": instance.get("VpcId", ""),
    }[name]
