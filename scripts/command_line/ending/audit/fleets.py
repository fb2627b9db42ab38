"""Fleets, which cost nothing without machines, but may start some. The machines are instances of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.command_line.ending.audit.leftover import OURS, Leftover, stack_of, tags_of


def fleets(autoscaling: Any) -> Iterator[Leftover]:
    """Auto Scaling groups. Deleting one ends its machines: one that is terminated alone would be replaced."""
    for page in autoscaling.get_paginator("describe_auto_scaling_groups").paginate(Filters=OURS):
        for group in page["AutoScalingGroups"]:
            name = group["AutoScalingGroupName"]
            yield Leftover(
                "fleet",
                name,
                f"{len(group['Instances'])} machines, up to {group['MaxSize']}",
                0.0,
                f"aws autoscaling delete-auto-scaling-group --force-delete --auto-scaling-group-name {name}",
                stack_of(tags_of(group.get("Tags", []))),
            )
