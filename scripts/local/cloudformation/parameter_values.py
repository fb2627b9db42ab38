"""What Ref gives for a stack's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.local.aws.account import Account
from scripts.local.cloudformation.parameter_constraints import LIST


def parameter_values(account: Account, declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """What Ref gives for each parameter: lists for lists, and the stored values for names of SSM parameters.

    Raises `ValueError`, with the service's words, for a stored parameter that is not there.
    """
    values: dict[str, Any] = {}
    for name, text in given.items():
        kind = declared[name]["Type"]
        if kind.startswith("AWS::SSM::Parameter::Value"):
            found = account.client("ssm").get_parameters(Names=[text])
            if not found["Parameters"]:
                raise ValueError(f"Unable to fetch parameters [{text}] from parameter store for this account.")
            text = found["Parameters"][0]["Value"]
        values[name] = [item.strip() for item in text.split(",")] if kind == LIST else text
    return values
