"""The stack that `cdk bootstrap` makes, remembered for the next local cloud.

Every local cloud begins empty, and the CDK CLI makes the very same stack in each: its template and parameters follow
from the CLI's version. So the CLI is asked once for each version; afterwards the same stack is created without it.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.local.aws.account import Account
from scripts.local.command_environment import CHECKOUT
from userdata.contract.atomic_file import write_atomically

NAME = "CDKToolkit"
PLACE = CHECKOUT / ".cache/bootstrap"
MODULE = CHECKOUT / "node_modules/aws-cdk/package.json"


def create_remembered(account: Account, place: Path) -> bool:
    """Creates the remembered stack, unless the account has it. Returns False when none is remembered."""
    file = _file(account, place)
    if not file.exists():
        return False
    cloudformation = account.client("cloudformation")
    with suppress(cloudformation.exceptions.AlreadyExistsException):  # `cdk bootstrap` may be run again, so this may
        cloudformation.create_stack(**json.loads(file.read_text("utf-8")))
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=NAME, WaiterConfig={"Delay": 0.2, "MaxAttempts": 600}
    )
    return True


def remember(account: Account, place: Path) -> None:
    """Remembers the account's stack."""
    write_atomically(_file(account, place), json.dumps(_request(account.client("cloudformation"))).encode())


def _request(cloudformation: Any) -> dict[str, Any]:
    """The parameters of `CreateStack` that make the same stack again."""
    (stack,) = cloudformation.describe_stacks(StackName=NAME)["Stacks"]
    template = cloudformation.get_template(StackName=NAME)["TemplateBody"]
    return {
        "StackName": NAME,
        "TemplateBody": template if isinstance(template, str) else json.dumps(template),
        "Parameters": [{name: one[name] for name in ("ParameterKey", "ParameterValue")} for one in stack["Parameters"]],
        "Tags": stack.get("Tags", []),
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
    }


def _file(account: Account, place: Path) -> Path:
    version = hashlib.sha256(MODULE.read_bytes()).hexdigest()[:16]
    return place / f"{version}-{account.id}-{account.region}.json"
