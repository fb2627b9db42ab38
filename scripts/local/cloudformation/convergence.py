"""Changes the resources of a stack to what a template wants, and back when that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError
from moto.cloudformation.parsing import Output

from scripts.local.aws.account import Account
from scripts.local.cloudformation.intrinsic_functions import Resolver
from scripts.local.cloudformation.parameter_constraints import LIST
from scripts.local.cloudformation.resources.resource import Resource, Wanted
from scripts.local.cloudformation.resources.types import resource_type
from scripts.local.cloudformation.stack_state import StackOutputs, StackState
from scripts.local.cloudformation.template import dependency_order

log = logging.getLogger(__name__)

# Logical id, physical id, type, status, reason.
Report = Callable[[str, str, str, str, str | None], None]


@dataclass(frozen=True)
class Target:
    """What a stack shall become."""

    template: dict[str, Any]
    parameters: dict[str, str]
    tags: dict[str, str]


@dataclass
class Convergence:
    """One pass over the resources of one stack. `report` takes one event of a resource."""

    account: Account
    stack_name: str
    stack_id: str
    state: StackState
    report: Report
    _replaced: dict[str, Resource] = field(default_factory=dict)

    def run(self, target: Target) -> StackOutputs:
        """Makes and changes what `target` wants, then deletes what it does not want.

        On an error nothing has been deleted: `undo` goes back. Raises whatever the emulated API raised.
        """
        resolver = self._resolver(target)
        wanted = [
            name
            for name in dependency_order(target.template["Resources"])
            if "Condition" not in target.template["Resources"][name]
            or resolver.condition(target.template["Resources"][name]["Condition"])
        ]
        for name in wanted:
            self._bring(name, target, resolver)
        outputs = self._outputs(target, resolver)
        self.state.template, self.state.parameters, self.state.tags = target.template, target.parameters, target.tags
        self._clean_up(wanted)
        return outputs

    def undo(self, before: Target) -> StackOutputs:
        """Goes back to what the stack was before `run` failed."""
        for name, old in self._replaced.items():
            self._delete(self.state.resources[name])
            self.state.resources[name] = old
        self._replaced.clear()
        return self.run(before)

    def delete_all(self, *, kept: tuple[str, ...] = ("Retain", "RetainExceptOnCreate")) -> None:
        """Deletes every resource, the last one made first; those with one of the `kept` policies are left alone."""
        for name, resource in reversed(list(self.state.resources.items())):
            if resource.deletion_policy in kept:
                self._tell(resource, "DELETE_SKIPPED")
            else:
                self._delete(resource)
            del self.state.resources[name]

    def _resolver(self, target: Target) -> Resolver:
        values = {
            "AWS::AccountId": self.account.id,
            "AWS::NotificationARNs": [],
            "AWS::Partition": "aws",
            "AWS::Region": self.account.region,
            "AWS::StackId": self.stack_id,
            "AWS::StackName": self.stack_name,
            "AWS::URLSuffix": "amazonaws.com",
            **parameter_values(self.account, target.template.get("Parameters", {}), target.parameters),
        }
        return Resolver(target.template, values, self.state.resources.__getitem__)

    def _bring(self, name: str, target: Target, resolver: Resolver) -> None:
        declared = target.template["Resources"][name]
        existing = self.state.resources.get(name)
        physical_id = existing.physical_resource_id if existing else ""
        action = "UPDATE" if existing else "CREATE"
        try:
            wanted = Wanted(
                logical_id=name,
                type=declared["Type"],
                properties=resolver.resolve(declared.get("Properties", {})),
                stack_name=self.stack_name,
                stack_id=self.stack_id,
                stack_tags=target.tags,
            )
            if existing and existing.properties == wanted.properties and self.state.tags == target.tags:
                existing.deletion_policy = declared.get("DeletionPolicy", "Delete")
                return
            self.report(name, physical_id, wanted.type, f"{action}_IN_PROGRESS", None)
            resource = self._make_or_change(existing, wanted)
        except Exception as error:
            log.info("%s of %s failed", action, name, exc_info=True)
            self.report(name, physical_id, declared["Type"], f"{action}_FAILED", _reason(error))
            raise
        resource.logical_resource_id, resource.cf_resource_type = name, wanted.type
        resource.properties = wanted.properties
        resource.deletion_policy = declared.get("DeletionPolicy", "Delete")
        if existing and resource is not existing:
            self._replaced[name] = existing
            existing.deletion_policy = declared.get("UpdateReplacePolicy", "Delete")
        self.state.resources[name] = resource
        self._tell(resource, f"{action}_COMPLETE")

    def _make_or_change(self, existing: Resource | None, wanted: Wanted) -> Resource:
        kind = resource_type(wanted.type)
        kind.check(wanted)
        if (
            existing is None
            or existing.cf_resource_type != wanted.type
            or kind.is_replaced(existing.properties, wanted.properties)
        ):
            return kind.create(self.account, wanted)
        kind.update(self.account, existing, wanted)
        return existing

    def _clean_up(self, wanted: list[str]) -> None:
        vanished = {name: one for name, one in self.state.resources.items() if name not in wanted}
        order = list(self.state.resources)
        leaving = [*vanished.items(), *self._replaced.items()]
        for name, resource in sorted(leaving, key=lambda item: order.index(item[0]), reverse=True):
            if name in vanished:
                del self.state.resources[name]
            if resource.deletion_policy.startswith("Retain"):
                self._tell(resource, "DELETE_SKIPPED")
                continue
            try:
                self._delete(resource)
            except Exception:
                # As the service: the update is over, and what could not be deleted is left behind, with an event.
                log.info("the clean-up of %s failed", name, exc_info=True)
        self._replaced.clear()
        # As made from nothing: what an update adds may be what an older resource depends on, and must outlive it.
        ordered = {name: self.state.resources[name] for name in wanted}
        self.state.resources.clear()
        self.state.resources.update(ordered)

    def _delete(self, resource: Resource) -> None:
        self._tell(resource, "DELETE_IN_PROGRESS")
        try:
            resource_type(resource.cf_resource_type).delete(self.account, resource)
        except Exception as error:
            self._tell(resource, "DELETE_FAILED", _reason(error))
            raise
        self._tell(resource, "DELETE_COMPLETE")

    def _tell(self, resource: Resource, status: str, reason: str | None = None) -> None:
        self.report(
            resource.logical_resource_id, resource.physical_resource_id, resource.cf_resource_type, status, reason
        )

    def _outputs(self, target: Target, resolver: Resolver) -> StackOutputs:
        result = StackOutputs()
        for name, declared in target.template.get("Outputs", {}).items():
            if "Condition" in declared and not resolver.condition(declared["Condition"]):
                continue
            value = str(resolver.resolve(declared["Value"]))
            result.outputs.append(Output(name, value, declared.get("Description")))
        return result


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


def _reason(error: Exception) -> str:
    if isinstance(error, ClientError):
        return f"{error.response['Error']['Message']} ({error.response['Error']['Code']})"
    return str(error) or type(error).__name__
