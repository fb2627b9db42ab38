"""Launches one instance of a group: its market, its type, its zone, and what its launch template says."""

from __future__ import annotations

import base64
import math
from typing import Any

from botocore.exceptions import ClientError
from moto.ec2.models import ec2_backends

from scripts.local.aws.account import Account
from scripts.local.aws.spot_requests import record_spot_request
from scripts.local.cloudformation.resources.api_call import call
from scripts.local.cloudformation.resources.launch_template import launch_template_data

GROUP_TAG = "aws:autoscaling:groupName"
# With these EC2 has nothing of one type in one zone, and another type or zone is tried.
TRIED_ELSEWHERE = (
    "InsufficientInstanceCapacity",
    "MaxSpotInstanceCountExceeded",
    "Unsupported",
    "VcpuLimitExceeded",
)
PASSED_ON = (
    "BlockDeviceMappings",
    "ImageId",
    "InstanceInitiatedShutdownBehavior",
    "KeyName",
    "MetadataOptions",
    "SecurityGroupIds",
)
READ = {*PASSED_ON, "IamInstanceProfile", "InstanceType", "TagSpecifications", "UserData"}


class LaunchError(RuntimeError):
    """EC2 has no instance for the group. The message is what the activity says."""


def launch(account: Account, group: Any, staying: list[Any]) -> Any:
    """The launched instance. `staying` are the instances that the group keeps, which decide market and zone.

    Types are tried in the order of the overrides, each in the zone with the fewest instances first. On AWS,
    price-capacity-optimized looks at prices and capacity; what it looks at is not published.
    """
    template = group.mixed_instances_policy["LaunchTemplate"]
    data = template_data(account, template["LaunchTemplateSpecification"])
    spot = len(staying) - on_demand_in(staying) < spot_share(group, group.desired_capacity)
    asked = _asked(group, data, spot=spot)
    error: ClientError | None = None
    for override in template["Overrides"]:
        for subnet in _subnets(group, staying):
            place = {"InstanceType": override["InstanceType"], "SubnetId": subnet}
            try:
                made = call(account.client("ec2"), "RunInstances", MinCount=1, MaxCount=1, **asked, **place)
            except ClientError as refused:
                error = refused
                if refused.response["Error"]["Code"] not in TRIED_ELSEWHERE:
                    raise LaunchError(_sentence(refused, spot=spot)) from refused
                continue
            return _recorded(account, made["Instances"][0]["InstanceId"], asked, data)
    assert error is not None
    raise LaunchError(_sentence(error, spot=spot))


def template_data(account: Account, specification: dict[str, str]) -> dict[str, Any]:
    """What a group's launch template says. Raises `ValueError` for what Auto Scaling or the local cloud refuses."""
    wanted = {"Version": "$Default", **specification}
    data = launch_template_data(account, wanted)
    if "InstanceMarketOptions" in data:
        raise ValueError(
            "Incompatible launch template: You cannot use a launch template that is set to request Spot Instances "
            "(InstanceMarketOptions) when you configure an Auto Scaling group with a mixed instances policy. Add a "
            "different launch template to the group and try again."
        )
    unknown = sorted(data.keys() - READ)
    if unknown:
        raise ValueError(f"The local cloud does not emulate {', '.join(unknown)} of a group's launch template")
    tags = {"aws:ec2launchtemplate:id": wanted["LaunchTemplateId"], "aws:ec2launchtemplate:version": wanted["Version"]}
    return {**data, "template_tags": tags}


def spot_share(group: Any, capacity: int) -> int:
    """How many instances of a capacity are spot instances: Auto Scaling rounds the on-demand share up."""
    shares = group.mixed_instances_policy["InstancesDistribution"]
    base = min(capacity, int(shares.get("OnDemandBaseCapacity", 0)))
    percent = int(shares.get("OnDemandPercentageAboveBaseCapacity", 100))
    return capacity - base - math.ceil((capacity - base) * percent / 100)


def on_demand_in(instances: list[Any]) -> int:
    """How many of the instances are on demand."""
    return sum(one.lifecycle != "spot" for one in instances)


def _subnets(group: Any, staying: list[Any]) -> list[str]:
    subnets = group.vpc_zone_identifier.split(",")
    return sorted(subnets, key=lambda subnet: sum(one.subnet_id == subnet for one in staying))


def _asked(group: Any, data: dict[str, Any], *, spot: bool) -> dict[str, Any]:
    asked: dict[str, Any] = {name: data[name] for name in PASSED_ON if name in data}
    if "UserData" in data:
        asked["UserData"] = base64.b64decode(data["UserData"])  # boto3 encodes it again
    if "IamInstanceProfile" in data:
        asked["IamInstanceProfile"] = data["IamInstanceProfile"]
    if spot:
        price = group.mixed_instances_policy["InstancesDistribution"].get("SpotMaxPrice")
        options = {"MaxPrice": price} if price else {}
        asked["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": options}
    tags = {kind: dict(_tags(data, kind)) for kind in ("instance", "volume")}
    tags["instance"] |= {**group.get_propagated_tags(), **data["template_tags"], GROUP_TAG: group.name}
    asked["TagSpecifications"] = [
        {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in named.items()]}
        for kind, named in tags.items()
        if named
    ]
    return asked


def _tags(data: dict[str, Any], kind: str) -> list[tuple[str, str]]:
    specified = [one for one in data.get("TagSpecifications", []) if one["ResourceType"] == kind]
    return [(tag["Key"], tag["Value"]) for one in specified for tag in one["Tags"]]


def _recorded(account: Account, instance_id: str, asked: dict[str, Any], data: dict[str, Any]) -> Any:
    backend = ec2_backends[account.id][account.region]
    instance = backend.get_instance(instance_id)
    backend.create_tags([instance.nics[0].id], dict(_tags(data, "network-interface")))
    if "InstanceMarketOptions" in asked:
        request = record_spot_request(account, instance_id, asked["InstanceMarketOptions"]["SpotOptions"])
        backend.create_tags([request], dict(_tags(data, "spot-instances-request")))
    return instance


def _sentence(error: ClientError, *, spot: bool) -> str:
    market, said = "Spot" if spot else "On-Demand", error.response["Error"]
    return (
        f"Could not launch {market} Instances. {said['Code']} - {said['Message'].rstrip('.')}. "
        "Launching EC2 instance failed."
    )
