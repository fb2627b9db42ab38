"""The parts of a report about the instance: its state, and what it printed."""

from __future__ import annotations

from typing import Any

import botocore.exceptions

from scripts.command_line.report.case import Case, Told
from scripts.command_line.terminal.command_error import CommandError

SHOWN = (
    *("InstanceId", "InstanceType", "ImageId", "State", "StateReason", "StateTransitionReason", "LaunchTime"),
    *("InstanceLifecycle", "Placement", "RootDeviceName", "UsageOperationUpdateTime"),
)


def instance(case: Case) -> Told:
    """EC2's word for the instance, and its checks of it."""
    found = case.ec2.describe_instances(InstanceIds=[case.instance_id])["Reservations"]
    described: Any = found[0]["Instances"][0] if found else None
    if described is None:
        raise CommandError(f"EC2 has forgotten the instance {case.instance_id}.")
    lines = [f"{name}: {described[name]}" for name in SHOWN if name in described]
    checks: Any = case.ec2.describe_instance_status(InstanceIds=[case.instance_id], IncludeAllInstances=True)
    for one in checks["InstanceStatuses"]:
        lines += [f"{name}: {one[name].get('Status')}" for name in ("SystemStatus", "InstanceStatus") if name in one]
    reason = described.get("StateReason", {}).get("Message") or described.get("StateTransitionReason", "")
    state = f"{case.instance_id} ({described['InstanceType']}) is {described['State']['Name']}"
    return Told(f"{state}. {reason}".rstrip(" ."), "\n".join(lines))


def console_output(case: Case) -> Told:
    """What the instance printed, as EC2 kept it."""
    try:
        answer = case.ec2.get_console_output(InstanceId=case.instance_id, Latest=True)
    except botocore.exceptions.ClientError:
        # Only some types have the latest; the others keep what they printed at the last change of state.
        answer = case.ec2.get_console_output(InstanceId=case.instance_id)
    text = answer.get("Output", "")
    if not text:
        raise CommandError("EC2 has no console output; it appears some minutes after a start or a stop.")
    return Told(f"{len(text.splitlines())} lines", text)
