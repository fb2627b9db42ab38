"""Which operation CloudFormation takes in which state of a stack, and its words where it refuses one.

Sources: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html (the states), and what
users of the service were answered: https://github.com/org-formation/org-formation-cli/issues/455,
https://github.com/aws/aws-cli/issues/6368, https://github.com/rebuy-de/aws-nuke/issues/270.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from moto.cloudformation.exceptions import ValidationError

# Only a deletion leads out of these, but from the last: there a rollback can be continued.
NOT_UPDATED = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED")
# A failure that was not rolled back, because the operation was told so.
PAUSED = ("CREATE_FAILED", "UPDATE_FAILED")


def named_stack(response: Any) -> Any:
    """The stack that a request names, by its name or its id, or None."""
    name = response._get_param("StackName")
    stacks = response.cloudformation_backend.stacks.values()
    return next((stack for stack in stacks if name in (stack.name, stack.stack_id)), None)


def refuse_update(stack: Any) -> None:
    """Raises `ValidationError` in a state in which no update can be asked for."""
    busy = stack.status.endswith("_IN_PROGRESS") and stack.status != "REVIEW_IN_PROGRESS"
    if busy or stack.status in NOT_UPDATED:
        raise ValidationError(message=f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated.")


def refuse_execution(stack: Any, *, roll_back: bool) -> None:
    """Raises `ValidationError` for an update that would roll back, of a stack that was told not to."""
    if roll_back and stack.status in PAUSED:
        raise ValidationError(
            message=f"This stack is currently in a non-terminal [{stack.status}] state. To update the stack from this "
            "state, please use the disable-rollback parameter with update-stack API. To rollback to the last known "
            "good state, use the rollback-stack API"
        )


def refuse_rollback(stack: Any, *states: str) -> None:
    """Raises `ValidationError` unless the stack is in one of the states. The words are our own: AWS's are not known."""
    if stack.status not in states:
        raise ValidationError(message=f"Stack:{stack.stack_id} is in {stack.status} state and can not be rolled back.")


def refuse_skipped(skipped: Iterable[str], failed: Iterable[str]) -> None:
    """Raises `ValidationError`, in our words, for a resource whose rollback did not fail."""
    others = sorted(set(skipped) - set(failed))
    if others:
        raise ValidationError(message=f"ResourcesToSkip: [{', '.join(others)}] are not in UPDATE_FAILED state.")


def refuse_retained(stack: Any, retained: Iterable[str]) -> None:
    """Raises `ValidationError` where a deletion may leave nothing out, or not this."""
    if retained and stack.status != "DELETE_FAILED":
        raise ValidationError(
            message=f"Invalid operation on stack [{stack.stack_id}]. When you delete a stack, specify which resources "
            "to retain only when the stack is in the DELETE_FAILED state."
        )
    if set(retained) - set(stack.resource_map.resources):
        raise ValidationError(
            message="The specified resources to retain must be in a valid state. Do not specify resources that are in "
            "the DELETE_COMPLETE state."
        )
