"""The operations on stacks that the local cloud does in moto's place."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any

from moto.cloudformation.exceptions import CloudFormationError, ValidationError
from moto.cloudformation.models import Change, ChangeSet, Event, Stack
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult, EmptyResult

from scripts.local.aws.account import Account
from scripts.local.aws.replaced import replaced
from scripts.local.cloudformation.convergence import Convergence, Target, parameter_values
from scripts.local.cloudformation.parameter_constraints import ParameterError, check_parameters
from scripts.local.cloudformation.rules import check_rules
from scripts.local.cloudformation.stack_state import StackOutputs, StackState
from scripts.local.cloudformation.template import bucket_and_key, dependency_order, parse_template

log = logging.getLogger(__name__)

# A request waits this long for its operation, so that a person who polls every few seconds waits less; one that
# takes longer goes on in the background, as with the real service.
PATIENCE = 20.0


class ChangeSetNotFoundError(CloudFormationError):  # type: ignore[misc]  # moto has no types
    """There is no such change set; the message is the service's."""

    code = "ChangeSetNotFound"

    def __init__(self, name: str) -> None:
        super().__init__(f"ChangeSet [{name}] does not exist")


class CloudFormation:
    """Creates, updates and deletes the stacks of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """Takes the place of moto's operations while the context lasts."""
        with replaced(
            {
                (Stack, "parse_template"): staticmethod(parse_template),
                (Stack, "_create_resource_map"): lambda stack: StackState(),
                (Stack, "_create_output_map"): lambda stack: StackOutputs(),
                (Stack, "create_resources"): self._create_resources,
                (ChangeSet, "_parse_template"): _parse_change_set,
                (ChangeSet, "diff"): _changes_of,
                (CloudFormationResponse, "_get_stack_from_s3_url"): self._fetch_template,
                (CloudFormationResponse, "create_stack"): self._create_stack,
                (CloudFormationResponse, "update_stack"): self._update_stack,
                (CloudFormationResponse, "delete_stack"): self._delete_stack,
                (CloudFormationResponse, "create_change_set"): self._create_change_set,
                (CloudFormationResponse, "execute_change_set"): self._execute_change_set,
                (CloudFormationResponse, "describe_change_set"): lambda response: ActionResult(_change_set(response)),
                (CloudFormationResponse, "delete_change_set"): _delete_change_set,
            }
        ):
            yield

    # moto calls what follows as methods of its own objects, so each is made from a closure over this one.

    @property
    def _fetch_template(self) -> Any:
        def fetch_template(response: Any, url: str) -> str:
            log.info("template URL %s", url)
            bucket, key = bucket_and_key(url)
            body: bytes = self._account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
            return body.decode()

        return fetch_template

    @property
    def _create_stack(self) -> Any:
        def create_stack(response: Any) -> Any:
            text = _template_text(response)
            target = self._target(response, text, StackState())
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

        return create_stack

    @property
    def _create_resources(self) -> Any:
        def create_resources(stack: Any) -> None:
            target = Target(stack.template_dict, stack.parameters, dict(stack.tags))
            self._operate(stack, "CREATE", stack.template, target)

        return create_resources

    @property
    def _update_stack(self) -> Any:
        def update_stack(response: Any) -> Any:
            stack = response.cloudformation_backend.get_stack(response._get_param("StackName"))
            _refuse_while_busy(stack)
            text = _template_text(response, stack)
            target = self._target(response, text, stack.resource_map)
            if target == _target_of(stack.resource_map):
                raise ValidationError(message="No updates are to be performed.")
            self._operate(stack, "UPDATE", text, target)
            return ActionResult({"StackId": stack.stack_id})

        return update_stack

    @property
    def _create_change_set(self) -> Any:
        def create_change_set(response: Any) -> Any:
            backend = response.cloudformation_backend
            name, kind = response._get_param("StackName"), response._get_param("ChangeSetType", "UPDATE")
            existing = next((stack for stack in backend.stacks.values() if name in (stack.name, stack.stack_id)), None)
            if kind == "UPDATE" and existing is None:
                raise ValidationError(name)
            if kind == "CREATE" and existing is not None:
                if existing.status != "REVIEW_IN_PROGRESS":
                    raise ValidationError(message=f"Stack [{name}] already exists and cannot be created again.")
                del backend.stacks[existing.stack_id]
            if existing is not None:
                _refuse_while_busy(existing)
            text = _template_text(response, existing)
            target = self._target(response, text, existing.resource_map if existing else StackState())
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

        return create_change_set

    @property
    def _execute_change_set(self) -> Any:
        def execute_change_set(response: Any) -> Any:
            backend = response.cloudformation_backend
            change_set = _change_set(response)
            if change_set.execution_status != "AVAILABLE":
                raise ValidationError(
                    message=f"ChangeSet [{change_set.change_set_id}] cannot be executed in its current status of "
                    f"[{change_set.status}]"
                )
            stack = backend.stacks[change_set.stack_id]
            _refuse_while_busy(stack)
            change_set.execution_status = "EXECUTE_COMPLETE"
            target = Target(change_set.template_dict, change_set.parameters, dict(change_set.tags or {}))
            roll_back = not response._get_bool_param("DisableRollback", False)
            self._operate(stack, change_set.change_set_type, change_set.template, target, roll_back=roll_back)
            return EmptyResult()

        return execute_change_set

    @property
    def _delete_stack(self) -> Any:
        def delete_stack(response: Any) -> Any:
            backend = response.cloudformation_backend
            name = response._get_param("StackName")
            stack = next((stack for stack in backend.stacks.values() if name in (stack.name, stack.stack_id)), None)
            if stack is None:
                return EmptyResult()
            if stack.enable_termination_protection:
                raise ValidationError(
                    message=f"Stack [{stack.name}] cannot be deleted while TerminationProtection is on"
                )
            _in_background(self._delete, stack, backend)
            return EmptyResult()

        return delete_stack

    def _target(self, response: Any, text: str, state: StackState) -> Target:
        """What the request asks for, checked. Raises moto's `ValidationError` with the service's words."""
        template = parse_template(text)
        declared = template.get("Parameters", {})
        try:
            given = _given_parameters(response._get_param("Parameters", []), state.parameters)
            parameters = check_parameters(declared, given)
            check_rules(template, parameter_values(self._account, declared, parameters))
            dependency_order(template["Resources"])
        except (ParameterError, ValueError) as error:
            raise ValidationError(message=str(error)) from error
        tags = {tag["Key"]: tag["Value"] for tag in response._get_param("Tags", [])}
        return Target(template, parameters, tags)

    def _operate(self, stack: Any, kind: str, text: str, target: Target, *, roll_back: bool = True) -> None:
        stack.status = f"{kind}_IN_PROGRESS"
        stack._add_stack_event(stack.status, resource_status_reason="User Initiated")
        _in_background(self._converge, stack, kind, text, target, roll_back)

    def _converge(self, stack: Any, kind: str, text: str, target: Target, roll_back: bool) -> None:
        before = _target_of(stack.resource_map)
        work = self._work_on(stack)
        try:
            stack.output_map = work.run(target)
        except Exception:  # noqa: BLE001  # whatever went wrong, the stack is rolled back; its event says what
            self._fail(stack, kind, work, before, roll_back)
            return
        stack.template, stack.template_dict, stack.parameters = text, target.template, target.parameters
        stack.description = target.template.get("Description")
        stack.tags = target.tags
        self._publish_exports(stack)
        _finish(stack, f"{kind}_COMPLETE")

    def _fail(self, stack: Any, kind: str, work: Convergence, before: Target, roll_back: bool) -> None:
        if not roll_back:
            _finish(stack, f"{kind}_FAILED")
            return
        prefix = "ROLLBACK" if kind == "CREATE" else "UPDATE_ROLLBACK"
        stack.status = f"{prefix}_IN_PROGRESS"
        stack._add_stack_event(stack.status, resource_status_reason="See the events before this one.")
        try:
            if kind == "CREATE":
                work.delete_all(kept=("Retain",))
            else:
                stack.output_map = work.undo(before)
        except Exception:
            log.info("The rollback of %s failed.", stack.name, exc_info=True)
            _finish(stack, f"{prefix}_FAILED")
            return
        _finish(stack, f"{prefix}_COMPLETE")

    def _delete(self, stack: Any, backend: Any) -> None:
        stack.status = "DELETE_IN_PROGRESS"
        stack._add_stack_event(stack.status, resource_status_reason="User Initiated")
        try:
            self._work_on(stack).delete_all()
        except Exception:
            log.info("The deletion of %s failed.", stack.name, exc_info=True)
            _finish(stack, "DELETE_FAILED")
            return
        for export in stack.exports:
            backend.exports.pop(export.name, None)
        # moto keeps them, and the next stack of this name would meet them: the CDK CLI gives all the same name.
        for change_set in [one for one in backend.change_sets.values() if one.stack_id == stack.stack_id]:
            del backend.change_sets[change_set.change_set_id]
        _finish(stack, "DELETE_COMPLETE")
        backend.stacks.pop(stack.stack_id)
        backend.deleted_stacks[stack.stack_id] = stack

    def _work_on(self, stack: Any) -> Convergence:
        def report(logical_id: str, physical_id: str, kind: str, status: str, reason: str | None) -> None:
            stack.events.append(Event(stack.stack_id, stack.name, logical_id, physical_id, kind, status, reason, None))

        backend = self._backend()
        exports = {name: export.value for name, export in backend.exports.items()}
        return Convergence(self._account, stack.name, stack.stack_id, stack.resource_map, exports, report)

    def _publish_exports(self, stack: Any) -> None:
        backend = self._backend()
        for name in [name for name, export in backend.exports.items() if export.exporting_stack_id == stack.stack_id]:
            del backend.exports[name]
        backend.exports.update({export.name: export for export in stack.exports})

    def _backend(self) -> Any:
        from moto.cloudformation.models import cloudformation_backends

        return cloudformation_backends[self._account.id][self._account.region]


def _in_background(work: Any, *arguments: Any) -> None:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    thread.join(PATIENCE)


def _finish(stack: Any, status: str) -> None:
    # The event first: who sees the status may read the events next.
    stack._add_stack_event(status)
    stack.status = status


def _target_of(state: StackState) -> Target:
    return Target(state.template, state.parameters, state.tags)


def _refuse_while_busy(stack: Any) -> None:
    if stack.status.endswith("_IN_PROGRESS") and stack.status != "REVIEW_IN_PROGRESS":
        raise ValidationError(message=f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated.")
    if stack.status == "ROLLBACK_COMPLETE":
        raise ValidationError(message=f"Stack:{stack.stack_id} is in ROLLBACK_COMPLETE state and can not be updated.")


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
