"""The operations that lead out of a failed one: deletion, rollback, its continuation. moto has the first alone.

Each function takes the place of a method of moto's: its first argument is moto's, `account` is bound.
"""

from __future__ import annotations

from functools import partialmethod
from typing import Any

from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult, EmptyResult

from scripts.local.aws.account import Account
from scripts.local.cloudformation.operations import start_deleting, start_rolling_back
from scripts.local.cloudformation.states import (
    PAUSED,
    named_stack,
    refuse_retained,
    refuse_rollback,
    refuse_skipped,
)


def ways_out(account: Account) -> dict[tuple[type, str], Any]:
    """What takes the place of moto's methods."""
    return {
        (CloudFormationResponse, "continue_update_rollback"): _continue_update_rollback,
        (CloudFormationResponse, "delete_stack"): partialmethod(_delete_stack, account),
        (CloudFormationResponse, "describe_stack_resources"): _describe_stack_resources,
        (CloudFormationResponse, "rollback_stack"): _rollback_stack,
    }


def _continue_update_rollback(response: Any) -> Any:
    stack = _need_stack(response)
    refuse_rollback(stack, "UPDATE_ROLLBACK_FAILED")
    asked, failed = response._get_param("ResourcesToSkip", []), stack.unfinished.work.failed
    refuse_skipped(asked, failed)
    force = response._get_bool_param("ForceRollback", False)
    if force and asked:
        raise ValidationError(message="ForceRollback and ResourcesToSkip are mutually exclusive.")
    start_rolling_back(stack, skipped=frozenset(failed if force else asked))
    return EmptyResult()


def _rollback_stack(response: Any) -> Any:
    stack = _need_stack(response)
    refuse_rollback(stack, *PAUSED)
    start_rolling_back(stack, keeps=not response._get_bool_param("RetainExceptOnCreate", False))
    return ActionResult({"StackId": stack.stack_id})


def _delete_stack(response: Any, account: Account) -> Any:
    stack = named_stack(response)
    if stack is None:
        return EmptyResult()
    if stack.enable_termination_protection:
        raise ValidationError(message=f"Stack [{stack.name}] cannot be deleted while TerminationProtection is on")
    retained = response._get_param("RetainResources", [])
    refuse_retained(stack, retained)
    start_deleting(account, stack, response.cloudformation_backend, frozenset(retained))
    return EmptyResult()


def _describe_stack_resources(response: Any) -> Any:
    """The resources with the status of each. moto gives all of them the stack's."""
    stack, logical_id = _need_stack(response), response._get_param("LogicalResourceId")
    return ActionResult(
        {
            "StackResources": [
                {
                    "StackName": stack.name,
                    "StackId": stack.stack_id,
                    "LogicalResourceId": one.logical_resource_id,
                    "PhysicalResourceId": one.physical_resource_id,
                    "ResourceType": one.cf_resource_type,
                    "Timestamp": stack.creation_time,
                    "ResourceStatus": one.status,
                    "ResourceStatusReason": one.reason,
                }
                for one in stack.resource_map.values()
                if logical_id in (None, one.logical_resource_id)
            ]
        }
    )


def _need_stack(response: Any) -> Any:
    stack = named_stack(response)
    if stack is None:
        raise ValidationError(response._get_param("StackName"))
    return stack
