"""The fleet of a deployment, which is an Auto Scaling group, as AWS describes it at this moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import boto3

from scripts.command_line.account.deployment import RETRIES, Deployment, deployed_settings
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words

OUTPUT = "Fleet"


@dataclass(frozen=True)
class Group:
    """A fleet: its name, its types in the order of the list, and how many machines it may have and was told to have.

    `size` is what was deployed; `most` is 0 while the fleet is closed. `on_demand` is the share of machines that are
    bought on demand, from 0 to 1. `machines` are those that EC2 has given, by their ids, each with its type, and
    `in_service` how many of them work.
    """

    name: str
    size: int
    types: tuple[str, ...]
    on_demand: float
    most: int
    desired: int
    machines: dict[str, str]
    in_service: int

    @property
    def missing(self) -> int:
        """How many machines EC2 has not given yet."""
        return max(0, self.desired - len(self.machines))


def has_fleet(deployment: Deployment) -> bool:
    """Whether the stack was deployed with a fleet."""
    return OUTPUT in deployment.outputs


def autoscaling(session: boto3.Session) -> Any:
    """The client of Auto Scaling."""
    return session.client("autoscaling", config=RETRIES)


def read_group(session: boto3.Session, deployment: Deployment) -> Group | None:
    """The deployment's fleet, None where it has none. Raises `CommandError` when AWS cannot be asked."""
    if not has_fleet(deployment):
        return None
    name = deployment.outputs[OUTPUT]
    with aws_errors_in_words(f"look at the fleet {name}"):
        found = autoscaling(session).describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    if not found:
        raise CommandError(
            f"The fleet {name} of {deployment.stack} is gone, so somebody has deleted it. `sd deploy -c fleet=` takes "
            "it out of the stack, and `sd deploy -c fleet=4` then makes another."
        )
    group, policy = found[0], found[0].get("MixedInstancesPolicy", {})
    overrides = policy.get("LaunchTemplate", {}).get("Overrides", [])
    shares = policy.get("InstancesDistribution", {})
    return Group(
        name=name,
        size=int(deployed_settings(deployment).get("fleet", group["MaxSize"])),
        types=tuple(one["InstanceType"] for one in overrides if "InstanceType" in one),
        on_demand=shares.get("OnDemandPercentageAboveBaseCapacity", 100) / 100,
        most=group["MaxSize"],
        desired=group["DesiredCapacity"],
        machines={one["InstanceId"]: one.get("InstanceType", "") for one in group["Instances"]},
        in_service=sum(one["LifecycleState"] == "InService" for one in group["Instances"]),
    )
