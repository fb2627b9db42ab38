"""The parts of a report about the stack: its state, its parameters, its events, its alarm, its queues."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.report.case import QUICK, Case, Told
from scripts.command_line.terminal.command_error import CommandError

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_sqs import SQSClient

# The person's own words, and the address of the person's network.
OWN_WORDS = ("Prompt", "NegativePrompt")
OWN_ADDRESS = ("SshCidr",)
MOST_EVENTS = 200
COUNTED = {"ApproximateNumberOfMessages": "waiting", "ApproximateNumberOfMessagesNotVisible": "with a worker"}


def stack(case: Case, *, prompts: bool) -> Told:
    """The stack's state, parameters and outputs; of one that is gone, when it was deleted."""
    deployment = case.deployment
    if deployment is None:
        gone = _last_deleted(case)
        before = f"The last of that name was deleted: {gone['StackId']}." if gone else "None was deleted lately."
        return Told("there is none", f"There is no stack {case.stack}. {before}")
    case.words += [deployment.parameters.get(name, "") for name in OWN_WORDS]
    case.left_out += [deployment.parameters.get(name, "") for name in OWN_ADDRESS]
    described: Any = case.cloudformation.describe_stacks(StackName=case.stack)["Stacks"][0]
    reason = described.get("StackStatusReason", "")
    lines = [
        f"state: {described['StackStatus']} {reason}".rstrip(),
        f"description: {described.get('Description', 'none')}",
        f"created: {described['CreationTime']}, last changed: {described.get('LastUpdatedTime', 'never')}",
        "parameters:",
        *(f"  {name} = {value}" for name, value in sorted(_shown(deployment, prompts=prompts).items())),
        "outputs:",
        *(f"  {name} = {value}" for name, value in sorted(deployment.outputs.items())),
    ]
    return Told(f"{described['StackStatus']} {reason}".rstrip(), "\n".join(lines))


def _shown(deployment: Deployment, *, prompts: bool) -> dict[str, str]:
    hidden = (*OWN_ADDRESS, *(() if prompts else OWN_WORDS))
    return {
        name: f"(left out: {len(value)} characters)" if name in hidden and value else value
        for name, value in deployment.parameters.items()
    }


def _last_deleted(case: Case) -> Any:
    pages = case.cloudformation.get_paginator("list_stacks").paginate(StackStatusFilter=["DELETE_COMPLETE"])
    all_deleted: list[Any] = [one for page in pages for one in page["StackSummaries"]]
    return next((one for one in all_deleted if one["StackName"] == case.stack), None)


def events(case: Case) -> Told:
    """What CloudFormation did, the latest first. Properties are left out, because user data is among them."""
    name = case.stack
    if case.deployment is None:
        deleted = _last_deleted(case)
        if not deleted:
            raise CommandError(f"There are no events, because there is no stack {case.stack}.")
        name = deleted["StackId"]
    pages = case.cloudformation.get_paginator("describe_stack_events").paginate(StackName=name)
    found: list[Any] = [event for page in pages for event in page["StackEvents"]][:MOST_EVENTS]
    latest = itertools.takewhile(lambda event: not _begins_operation(event), found)
    failed = [_line(event) for event in latest if "FAILED" in event["ResourceStatus"]]
    # Of the latest operation, the first failure: the others follow from it.
    return Told(failed[-1] if failed else "none failed in the latest operation", "\n".join(map(_line, found)))


def _begins_operation(event: Any) -> bool:
    """Whether a creation or an update begins. A deletion does not count, because it follows a creation that failed."""
    own = event.get("ResourceType") == "AWS::CloudFormation::Stack"
    return own and event["ResourceStatus"] in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")


def _line(event: Any) -> str:
    return (
        f"{event['Timestamp']:%Y-%m-%d %H:%M:%S} {event['ResourceStatus']} {event['LogicalResourceId']} "
        f"({event.get('ResourceType', '')}) {event.get('ResourceStatusReason', '')}"
    ).rstrip()


def alarms(case: Case) -> Told:
    """The alarm that ends the instance after MaxHours, and what it saw."""
    if case.deployment is None:
        raise CommandError(f"There are no alarms, because there is no stack {case.stack}.")
    resources: Any = case.cloudformation.describe_stack_resources(StackName=case.stack)["StackResources"]
    names = [one["PhysicalResourceId"] for one in resources if one["ResourceType"] == "AWS::CloudWatch::Alarm"]
    cloudwatch: CloudWatchClient = case.session.client("cloudwatch", config=QUICK)
    found: list[Any] = list(cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]) if names else []
    if not found:
        raise CommandError(f"The stack {case.stack} has no alarm.")
    lines = [
        f"{one['AlarmName']}: {one['StateValue']} since {one.get('StateUpdatedTimestamp')}; {one.get('StateReason')}; "
        f"actions {'on' if one.get('ActionsEnabled') else 'off'}: {', '.join(one.get('AlarmActions', []))}"
        for one in found
    ]
    return Told(", ".join(one["StateValue"] for one in found), "\n".join(lines))


def queues(case: Case) -> Told:
    """How many messages wait in each queue, those that were set aside included. Bodies are left alone."""
    if case.deployment is None:
        raise CommandError(f"There are no queues, because there is no stack {case.stack}.")
    resources: Any = case.cloudformation.describe_stack_resources(StackName=case.stack)["StackResources"]
    urls = [one["PhysicalResourceId"] for one in resources if one["ResourceType"] == "AWS::SQS::Queue"]
    if not urls:
        raise CommandError(f"The stack {case.stack} has no queue: it was deployed by an earlier version.")
    sqs: SQSClient = case.session.client("sqs", config=QUICK)
    lines, busy = [], []
    for url in sorted(urls):
        found: Any = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(COUNTED))["Attributes"]  # type: ignore[arg-type]
        told = ", ".join(f"{found[name]} {word}" for name, word in COUNTED.items())
        lines.append(f"{url.rpartition('/')[2]}: {told}")
        busy += [lines[-1]] if any(int(found[name]) for name in COUNTED) else []
    return Told("; ".join(busy) or "nothing waits", "\n".join(lines))
