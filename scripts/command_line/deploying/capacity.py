"""What a deploy says when AWS has no instance to give: why, and which command to try next."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.instance import SOLD_OUT
from scripts.command_line.account.plan import Plan
from scripts.command_line.account.zones import types_to_try
from scripts.command_line.terminal.command_error import aws_errors_in_words
from scripts.command_line.terminal.parameter_options import as_option
from scripts.command_line.terminal.plain_text import in_shell

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

VCPU_QUOTA = "the account's quota of vCPUs is too small"
SPOT_QUOTA = "the account's quota of spot instances is too small"
QUOTAS = (VCPU_QUOTA, SPOT_QUOTA)
# EC2's codes and, where CloudFormation passes on the message alone, its words for them.
# Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
MEANINGS = {
    r"InsufficientInstanceCapacity|sufficient [a-z0-9.-]+ capacity|UnfulfillableCapacity|no Spot capacity available": (
        SOLD_OUT
    ),
    r"MaxSpotInstanceCount|Max spot instance count": SPOT_QUOTA,
    r"VcpuLimitExceeded|InstanceLimitExceeded|vCPU limit": VCPU_QUOTA,
    r"\bUnsupported\b|not supported in your requested Availability Zone": "this zone does not offer the instance type",
    r"SpotMaxPriceTooLow|[Ss]pot.{0,40}price.{0,40}lower": "the spot price is above your max_price",
}
# What no other zone and no other type mends: the way out, by EC2's and CloudFormation's words.
OTHERWISE = {
    r"not eligible for [Ff]ree [Tt]ier": (
        "the account is on AWS's Free Plan, which launches no GPU type. Upgrade to a paid plan: AWS console, Billing "
        "and Cost Management, Account; then `sd doctor`"
    ),
    r"PendingVerification|pending verification|being validated": (
        "AWS still checks the new account, which takes minutes to a day. Deploy again when AWS's e-mail says so"
    ),
    r"VpcLimitExceeded|maximum number of VPCs has been reached": (
        "the region has as many VPCs as the account's quota allows. Delete one that nothing uses, or ask for more in "
        "the Service Quotas console, under Amazon VPC"
    ),
    r"[Ss]ervice-?[Ll]inked ?[Rr]ole": (
        "the role that deploys may not make a role of AWS's own, which an account needs once. As an administrator: "
        "`aws iam create-service-linked-role --aws-service-name events.amazonaws.com` for the alarm, and the same with "
        "spot.amazonaws.com for spot instances; then deploy again"
    ),
    r"conflicts with another subnet": (
        "the network of an earlier release cannot be changed in place. `sd doctor` says how to make a new one, and "
        "keeps the images"
    ),
    r"QueueDeletedRecently|must wait 60 seconds after deleting a queue": (
        "the change before went back and deleted its queues, and SQS gives their names again after a minute. Deploy "
        "again then"
    ),
    r"cannot select nonexistent value": (
        "this account has fewer zones in the region than the network asks for. Name zones that `sd zones` shows: "
        "-c az=NAME, -c zones=NAME,NAME"
    ),
}
FAILED = ("CREATE_FAILED", "UPDATE_FAILED")
# What CloudFormation tells of a stack itself when an operation on it begins.
STACK_TYPE = "AWS::CloudFormation::Stack"
BEGUN = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
# The events have AWS's clock, `since` has this machine's.
CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True)
class Explanation:
    """Why AWS had no instance or no network, with what to do next.

    `elsewhere` is the reason in a few words where another zone or another type may help, else empty.
    """

    text: str
    elsewhere: str = ""


def explain_capacity(session: boto3.Session, plan: Plan, *, stack: str, since: datetime) -> Explanation | None:
    """Why AWS had no instance or no network for the stack, with what to do next; None for another failure.

    `since` is when the deploy of `plan` began. Raises `CommandError` when AWS does not say.
    """
    reasons = _reasons(session, stack, since)
    for said in reasons:
        if way_out := no_way_around(said):
            return Explanation(way_out)
    reason = next(filter(meaning_of, reasons), None)
    meaning = meaning_of(reason) if reason else None
    if not reason or not meaning:
        return None
    said = f"AWS did not give the instance: {meaning}. AWS says: {reason}"
    if meaning in QUOTAS:
        return Explanation(f"{said}\nAsk for more: {quota_request(plan)}; see `sd doctor`.", meaning)
    return Explanation("\n".join([said, *_what_next(plan)]), meaning)


def meaning_of(reason: str) -> str | None:
    """What EC2's code or words for a lack of capacity mean; None for something else."""
    return next((meaning for pattern, meaning in MEANINGS.items() if re.search(pattern, reason)), None)


def no_way_around(reason: str) -> str | None:
    """The sentence for a refusal that no other zone and no other type mends; None for something else."""
    why = next((why for pattern, why in OTHERWISE.items() if re.search(pattern, reason)), None)
    return f"That is because {why}. AWS says: {reason}" if why else None


def quota_request(plan: Plan) -> str:
    """The command that asks for a larger quota for the plan's instance."""
    return f"sd quota request --instance-type {plan.machine.instance_type}{' --spot' if plan.settings.spot else ''}"


def _reasons(session: boto3.Session, stack: str, since: datetime) -> list[str]:
    """Why resources failed in the stack's latest operation, the latest first; none if an earlier deploy began it."""
    client: CloudFormationClient = session.client("cloudformation", config=RETRIES)
    reasons: list[str] = []
    with aws_errors_in_words(f"read the events of the stack {stack}"):
        pages = client.get_paginator("describe_stack_events").paginate(StackName=stack)
        for event in (event for page in pages for event in page["StackEvents"]):
            status = event.get("ResourceStatus", "")
            if event["Timestamp"] < since - CLOCKS_DIFFER:
                break
            if event.get("ResourceType") == STACK_TYPE and status in BEGUN:
                return reasons
            if status in FAILED:
                reasons.append(event.get("ResourceStatusReason", ""))
    return []


def _what_next(plan: Plan) -> list[str]:
    settings = {name: value for name, value in plan.settings.given().items() if name != "az"}
    # The files of this machine, because the bucket that has them may not be there the next time.
    others = {name: value for name, value in {**plan.changes, **plan.typed}.items() if name != "InstanceType"}
    types = types_to_try(plan.job, plan.machine)
    lines = [f"Let it look in every zone: {_deploy_command(others, settings, types)}"]
    if plan.settings.spot:
        on_demand = {name: value for name, value in settings.items() if name != "max_price"} | {"spot": "false"}
        lines.append(f"Or on demand, at the full price: {_deploy_command(others, on_demand, types)}")
    return lines


def _deploy_command(given: Mapping[str, str], context: Mapping[str, str], types: Sequence[str]) -> str:
    """`sd deploy` with these parameters, by their CloudFormation names, settings and types; quoted for a shell.

    The command repeats everything that was given, because a stack whose creation failed keeps nothing.
    """
    options = [word for name, value in context.items() for word in ("-c", f"{name}={value}")]
    options += [as_option(name, value) for name, value in given.items() if name != "Prompt"]
    options.append(f"--types={','.join(types)}")
    prompt = given.get("Prompt", "")
    # After "--" because else a prompt that begins with a dash would be taken for an option.
    words = [*options, "--", prompt] if prompt.startswith("-") else [prompt, *options] if prompt else options
    return in_shell(["sd", "deploy", *words])
