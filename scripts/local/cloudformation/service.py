"""The operations on stacks that the local cloud does in moto's place.

moto calls most functions here as methods of its own objects: the first argument is moto's, `account` is bound.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from functools import partialmethod
from typing import Any

from moto.cloudformation.exceptions import CloudFormationError, ValidationError
from moto.cloudformation.models import Change, ChangeSet, Stack
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult, EmptyResult

from scripts.local.aws.account import Account
from scripts.local.aws.replaced import replaced
from scripts.local.cloudformation.convergence import Target
from scripts.local.cloudformation.operations import start_bringing, target_of
from scripts.local.cloudformation.parameter_constraints import ParameterError, check_parameters
from scripts.local.cloudformation.parameter_values import parameter_values
from scripts.local.cloudformation.rules import check_rules
from scripts.local.cloudformation.stack_state import StackOutputs, StackState
from scripts.local.cloudformation.states import named_stack, refuse_execution, refuse_update
from scripts.local.cloudformation.template import bucket_and_key, dependency_order, parse_template
from scripts.local.cloudformation.ways_out import ways_out

log = logging.getLogger(__name__)

# Source: https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/814
ANSWERED_IN_ASCII = ("describe_stacks", "describe_stack_events", "get_template")


class ChangeSetNotFoundError(CloudFormationError):  # type: ignore[misc]  # moto has no types
    """There is no such change set; the message is the service's."""

    code = "ChangeSetNotFound"

    def __init__(self, name: str) -> None:
        super().__init__(f"ChangeSet [{name}] does not exist")


class AsciiResult(ActionResult):  # type: ignore[misc]  # moto has no types
    """An answer with `?` for each character beyond ASCII, as the service gives it, whatever it was given.

    So it is for control characters, which no XML has; what the service does with them is not documented.
    """

    def execute_result(self, context: Any) -> Any:
        """The answer's status, headers and body."""
        status, headers, body = super().execute_result(context)
        text = body.decode() if isinstance(body, bytes) else body
        return status, headers, re.sub(r"[^\t\n\r\x20-\x7e]", "?", text)


@contextlib.contextmanager
def stacks_of(account: Account) -> Iterator[None]:
    """Creates, updates and deletes the stacks of one account, in place of moto, while the context lasts."""
    with replaced(
        {
            (Stack, "parse_template"): staticmethod(parse_template),
            (Stack, "_create_resource_map"): lambda stack: StackState(),
            (Stack, "_create_output_map"): lambda stack: StackOutputs(),
            (Stack, "create_resources"): partialmethod(_create_resources, account),
            (ChangeSet, "_parse_template"): _parse_change_set,
            (ChangeSet, "diff"): _changes_of,
            (CloudFormationResponse, "_get_stack_from_s3_url"): partialmethod(_fetch_template, account),
            (CloudFormationResponse, "create_stack"): partialmethod(_create_stack, account),
            (CloudFormationResponse, "update_stack"): partialmethod(_update_stack, account),
            (CloudFormationResponse, "create_change_set"): partialmethod(_create_change_set, account),
            (CloudFormationResponse, "execute_change_set"): partialmethod(_execute_change_set, account),
            (CloudFormationResponse, "describe_change_set"): lambda response: ActionResult(_change_set(response)),
            (CloudFormationResponse, "delete_change_set"): _delete_change_set,
            **ways_out(account),
            **{(CloudFormationResponse, name): _in_ascii(name) for name in ANSWERED_IN_ASCII},
        }
    ):
        yield


def _in_ascii(action: str) -> Callable[[Any], AsciiResult]:
    moto_s_own = getattr(CloudFormationResponse, action)
    return lambda response: AsciiResult(moto_s_own(response).result)


def _fetch_template(response: Any, account: Account, url: str) -> str:
    log.info("template URL %s", url)
    bucket, key = bucket_and_key(url)
    body: bytes = account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return body.decode()


def _create_stack(response: Any, account: Account) -> Any:
    text = _template_text(response)
    target = _target(account, response, text, StackState())
    stack = response.cloudformation_backend.create_stack(
        name=response._get_param("StackName"),
        template=text,
        parameters=target.parameters,
        tags=target.tags,
        notification_arns=response._get_param("NotificationARNs", []),
        role_arn=response._get_param("RoleARN"),
        enable_termination_protection=response._get_param("EnableTerminationProtection"),
    )
    return ActionResult({"StackId": stack.stack_id})


def _create_resources(stack: Any, account: Account) -> None:
    target = Target(stack.template_dict, stack.parameters, dict(stack.tags))
    start_bringing(account, stack, "CREATE", stack.template, target)


def _update_stack(response: Any, account: Account) -> Any:
    stack = response.cloudformation_backend.get_stack(response._get_param("StackName"))
    roll_back = not response._get_bool_param("DisableRollback", False)
    refuse_update(stack)
    refuse_execution(stack, roll_back=roll_back)
    text = _template_text(response, stack)
    target = _target(account, response, text, stack.resource_map)
    if target == target_of(stack.resource_map):
        raise ValidationError(message="No updates are to be performed.")
    start_bringing(account, stack, "UPDATE", text, target, roll_back=roll_back)
    return ActionResult({"StackId": stack.stack_id})


def _create_change_set(response: Any, account: Account) -> Any:
    backend, kind = response.cloudformation_backend, response._get_param("ChangeSetType", "UPDATE")
    name, existing = response._get_param("StackName"), named_stack(response)
    if kind == "UPDATE" and existing is None:
        raise ValidationError(name)
    if kind == "CREATE" and existing is not None:
        if existing.status != "REVIEW_IN_PROGRESS":
            raise ValidationError(message=f"Stack [{name}] already exists and cannot be created again.")
        del backend.stacks[existing.stack_id]
    if existing is not None:
        refuse_update(existing)
    text = _template_text(response, existing)
    target = _target(account, response, text, existing.resource_map if existing else StackState())
    change_set_id, stack_id = backend.create_change_set(
        stack_name=existing.name if existing else name,
        change_set_name=response._get_param("ChangeSetName"),
        template=text,
        parameters=target.parameters,
        description=response._get_param("Description"),
        notification_arns=response._get_param("NotificationARNs", []),
        tags=target.tags,
        role_arn=response._get_param("RoleARN"),
        change_set_type=kind,
    )
    return ActionResult({"Id": change_set_id, "StackId": stack_id})


def _execute_change_set(response: Any, account: Account) -> Any:
    change_set = _change_set(response)
    if change_set.execution_status != "AVAILABLE":
        raise ValidationError(
            message=f"ChangeSet [{change_set.change_set_id}] cannot be executed in its current status of "
            f"[{change_set.status}]"
        )
    stack = response.cloudformation_backend.stacks.get(change_set.stack_id)
    if stack is None:  # another first deploy has begun the stack anew: of several change sets one can be executed
        raise ChangeSetNotFoundError(change_set.change_set_id)
    roll_back = not response._get_bool_param("DisableRollback", False)
    refuse_update(stack)
    refuse_execution(stack, roll_back=roll_back)
    change_set.execution_status = "EXECUTE_COMPLETE"
    target = Target(change_set.template_dict, change_set.parameters, dict(change_set.tags or {}))
    start_bringing(account, stack, change_set.change_set_type, change_set.template, target, roll_back=roll_back)
    return EmptyResult()


def _target(account: Account, response: Any, text: str, state: StackState) -> Target:
    """What the request asks for, checked. Raises moto's `ValidationError` with the service's words."""
    template = parse_template(text)
    declared = template.get("Parameters", {})
    try:
        given = _given_parameters(response._get_param("Parameters", []), state.parameters)
        parameters = check_parameters(declared, given)
        check_rules(template, parameter_values(account, declared, parameters))
        dependency_order(template["Resources"])
    except (ParameterError, ValueError) as error:
        raise ValidationError(message=str(error)) from error
    tags = {tag["Key"]: tag["Value"] for tag in response._get_param("Tags", [])}
    return Target(template, parameters, tags)


def _template_text(response: Any, stack: Any = None) -> str:
    if response._get_bool_param("UsePreviousTemplate", False) and stack is not None:
        return str(stack.template)
    url, body = response._get_param("TemplateURL"), response._get_param("TemplateBody")
    if not url and not body:
        raise ValidationError(message="Either Template URL or Template Body must be specified.")
    return str(response._get_stack_from_s3_url(url) if url else body)


def _change_set(response: Any) -> Any:
    """The change set of the request. moto passes over the stack's name, and the CDK CLI gives all the same name."""
    name, stack_name = response._get_param("ChangeSetName"), response._get_param("StackName")
    for change_set in response.cloudformation_backend.change_sets.values():
        if name == change_set.change_set_id or (
            name == change_set.change_set_name and stack_name in (change_set.stack_name, change_set.stack_id)
        ):
            return change_set
    raise ChangeSetNotFoundError(name)


def _delete_change_set(response: Any) -> Any:
    with contextlib.suppress(ChangeSetNotFoundError):
        del response.cloudformation_backend.change_sets[_change_set(response).change_set_id]
    return EmptyResult()


def _given_parameters(listed: list[dict[str, Any]], previous: dict[str, str]) -> dict[str, str]:
    given = {}
    for one in listed:
        name = one["ParameterKey"]
        if one.get("UsePreviousValue"):
            if name not in previous:
                raise ParameterError(
                    f"Invalid input for parameter key {name}. Cannot specify usePreviousValue as true "
                    "for a parameter key not in the previous template"
                )
            given[name] = previous[name]
        else:
            given[name] = one.get("ParameterValue", "")
    return given


def _parse_change_set(change_set: Any) -> None:
    change_set.template_dict = parse_template(change_set.template)


def _changes_of(change_set: Any) -> list[Any]:
    changes = change_set.stack.resource_map.changes_to(change_set.template_dict, change_set.parameters)
    before = change_set.stack.resource_map.template.get("Resources", {})
    resources = {**before, **change_set.template_dict["Resources"]}
    return [
        Change(action=action, logical_resource_id=name, resource_type=resources[name]["Type"])
        for action, names in changes.items()
        for name in names
    ]
