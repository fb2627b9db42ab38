"""Why a fleet gets no machines: the group tries for ever and tells nobody, so its activities are read."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import boto3

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.fleet.group import autoscaling, read_group
from scripts.command_line.terminal.command_error import aws_errors_in_words

MOST_ACTIVITIES = 50
# What Auto Scaling says of a launch that failed, why that is in our words, and the way out. The words are those that
# people quote of its activities; AWS documents no list of them.
# Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-instancelaunchfailure.html and -capacity.html
REASONS = (
    (
        r"VcpuLimitExceeded|more vCPU capacity than your current vCPU limit",
        "the account's on-demand vCPU quota is used up",
        "`sd quota request` asks for more; fewer machines go on as they are",
    ),
    (
        r"MaxSpotInstanceCountExceeded|Max spot instance count exceeded",
        "the account's spot vCPU quota is used up",
        "`sd quota request --spot` asks for more; fewer machines go on as they are",
    ),
    (
        r"ServiceLinkedRole|service-linked role",
        "the account lacks the role AWSServiceRoleForEC2Spot",
        "make it once: `aws iam create-service-linked-role --aws-service-name spot.amazonaws.com`",
    ),
    (
        r"InsufficientInstanceCapacity|sufficient .* capacity|UnfulfillableCapacity|no Spot capacity available",
        "AWS has no such machine to give at the moment",
        "the fleet goes on trying; more types (`sd deploy -c fleet_types=TYPE,TYPE`) or on-demand machines "
        "(`sd deploy -c fleet_on_demand=100`) are found sooner",
    ),
    (
        r"(?i)not authorized|UnauthorizedOperation|AccessDenied|KMS",
        "AWS does not let the group start machines",
        "ask whoever runs the account which policy forbids it",
    ),
)


def trouble(session: boto3.Session, deployment: Deployment) -> str | None:
    """Why the fleet's last launch failed, in one sentence with the way out; None where it did not, or has no fleet.

    A fleet that has all machines that it was told to have tries no more. Raises `CommandError` when AWS cannot be
    asked.
    """
    group = read_group(session, deployment)
    if group is None or not group.missing:
        return None
    with aws_errors_in_words(f"read the activities of the fleet {group.name}"):
        found = autoscaling(session).describe_scaling_activities(
            AutoScalingGroupName=group.name, MaxRecords=MOST_ACTIVITIES
        )["Activities"]
    launches = [one for one in found if str(one.get("Description", "")).startswith("Launching")]
    ended = [one for one in launches if one["StatusCode"] in ("Successful", "Failed", "Cancelled")]
    latest = max(ended, key=lambda one: one["StartTime"], default=None)
    if latest is None or latest["StatusCode"] != "Failed":
        return None
    return in_words(latest)


def in_words(activity: dict[str, Any]) -> str:
    """What a failed activity says, in one sentence with the way out."""
    said = " ".join(str(activity.get("StatusMessage", "")).split())
    when = activity["StartTime"].astimezone(UTC)
    minutes = max(0, round((datetime.now(UTC) - when).total_seconds() / 60))
    ago = f"{minutes} minute{'s' * (minutes != 1)} ago"
    for pattern, why, way_out in REASONS:
        if re.search(pattern, said):
            return f"The fleet gets no machine ({ago}): {why}; {way_out}."
    return (
        f"The fleet gets no machine ({ago}): AWS says {said.rstrip('.') or 'nothing about why'}; "
        "the group goes on trying, and `sd stop` ends that."
    )
