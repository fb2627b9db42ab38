"""Conditions of policies that moto passes over: on Auto Scaling, S3 and tags. They hold or a statement does not.

Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

PREFIX = "autoscaling:"
# A tag of the resource that is named.
TAG = "aws:ResourceTag/"
NUMERIC: dict[str, Callable[[float, float], bool]] = {
    "NumericEquals": operator.eq,
    "NumericLessThanEquals": operator.le,
}
IF_EXISTS = "IfExists"


def context_of(action: str, asked: Mapping[str, Any]) -> dict[str, str]:
    """The keys that a request to Auto Scaling has, by what it gives."""
    if action != "UpdateAutoScalingGroup":
        return {}
    template = asked.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    found = {name: asked.get(name) for name in ("MaxSize", "MinSize")}
    found["InstanceTypes"] = [one.get("InstanceType") for one in template.get("Overrides", [])] or None
    found["VPCZoneIdentifiers"] = asked.get("VPCZoneIdentifier")
    found["LaunchTemplateVersionSpecified"] = "LaunchTemplateSpecification" in template or None
    return {f"{PREFIX}{name}": str(value) for name, value in found.items() if value is not None}


def hold(
    conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str], *, of: tuple[str, ...] = (PREFIX,)
) -> bool:
    """Whether all of a statement's conditions on the keys `of` these services hold.

    Raises `ValueError` for an operator that is not emulated.
    """
    given = {key.lower(): value for key, value in context.items()}
    return all(
        _holds(name, expected, given.get(key.lower()))
        for name, keys in conditions.items()
        for key, expected in keys.items()
        if key.startswith(of)
    )


def _holds(name: str, expected: Any, given: str | None) -> bool:
    if name == "Null":
        return (given is None) == (str(expected).lower() == "true")
    if name == "Bool":
        return given is not None and given.lower() == str(expected).lower()
    if name == "StringEquals":
        return given is not None and given in ([expected] if isinstance(expected, str) else expected)
    compare = NUMERIC.get(name.removesuffix(IF_EXISTS))
    if compare is None:
        raise ValueError(f"The local cloud does not emulate the condition {name}")
    return name.endswith(IF_EXISTS) if given is None else compare(float(given), float(expected))
