"""Changes the resources of a stack to what a template wants, and back when that fails."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.cloudformation.parsing import Output

from scripts.local.aws.account import Account
from scripts.local.aws.zones import zones
from scripts.local.cloudformation.intrinsic_functions import Resolver
from scripts.local.cloudformation.parameter_values import parameter_values
from scripts.local.cloudformation.resource_work import Report, ResourceWork
from scripts.local.cloudformation.resources.resource import Resource, Wanted
from scripts.local.cloudformation.resources.types import takes_long
from scripts.local.cloudformation.side_by_side import side_by_side
from scripts.local.cloudformation.stack_state import StackOutputs, StackState
from scripts.local.cloudformation.template import dependencies, dependency_order

log = logging.getLogger(__name__)

# The deletion policies by which a resource outlives its stack. The second is no reason to keep what an operation has
# made that is rolled back.
KEPT = ("Retain", "RetainExceptOnCreate")


@dataclass(frozen=True)
class Target:
    """What a stack shall become."""

    template: dict[str, Any]
    parameters: dict[str, str]
    tags: dict[str, str]


class Convergence:
    """One operation on the resources of one stack, and its way back. `report` takes one event of a resource."""

    def __init__(self, account: Account, stack_name: str, stack_id: str, state: StackState, report: Report) -> None:
        self._account = account
        self._stack_name = stack_name
        self._stack_id = stack_id
        self._state = state
        self._work = ResourceWork(account, state, report)
        self._goes_back = False
        self._undone: list[Resource] = []

    @property
    def failed(self) -> frozenset[str]:
        """The logical ids of what the last `run` or `undo` could not change."""
        return frozenset(self._work.failed)

    def run(self, target: Target, *, skipped: frozenset[str] = frozenset()) -> StackOutputs:
        """Makes and changes what `target` wants, then deletes what it does not want. What is `skipped` stays as it is.

        On an error nothing has been deleted: `undo` goes back. Raises whatever the emulated API raised.
        """
        again = self.failed
        self._work.failed.clear()
        declared, resolver = target.template["Resources"], self._resolver(target)
        wanted = [
            name
            for name in dependency_order(declared)
            if "Condition" not in declared[name] or resolver.condition(declared[name]["Condition"])
        ]
        needs = dependencies(declared)

        def bring(name: str) -> None:
            self._bring(name, target, resolver, skips=name in skipped, again=name in again)
            self._state.resources[name].needs = frozenset(needs[name])

        side_by_side(wanted, needs, bring, takes_long=lambda name: takes_long(declared[name]["Type"]), goes_on=False)
        outputs = _outputs(target, resolver)
        self._state.template, self._state.parameters = target.template, target.parameters
        self._state.tags = target.tags
        self._clean_up(wanted)
        return outputs

    def undo(self, before: Target, *, skipped: frozenset[str] = frozenset()) -> StackOutputs:
        """Goes back to what the stack was before `run` failed; again, if it failed itself. Raises as `run` does.

        As the service does: what failed is changed back, too, and what the failed update made is deleted in the end.
        What is `skipped` passes for changed back.
        """
        if not self._goes_back:
            self._goes_back = True
            self._undone = [new for _, new in self._work.replaced]
            for old, _ in self._work.replaced:
                self._state.resources[old.logical_resource_id] = old
            self._work.replaced.clear()
        return self.run(before, skipped=skipped)

    def delete_all(self, *, kept: tuple[str, ...] = KEPT, retained: frozenset[str] = frozenset()) -> None:
        """Deletes every resource, each after those that depend on it.

        Those with one of the deletion policies `kept`, and those `retained` by their logical ids, are left alone.
        Raises what the emulated API raised for the first that could not be deleted, once all is gone that this one
        does not need.
        """

        def delete(resource: Resource) -> None:
            name = resource.logical_resource_id
            self._work.delete(resource, keeps=resource.deletion_policy in kept or name in retained)
            del self._state.resources[name]

        _delete_side_by_side(list(self._state.resources.values()), delete)

    def _resolver(self, target: Target) -> Resolver:
        values = {
            "AWS::AccountId": self._account.id,
            "AWS::NotificationARNs": [],
            "AWS::Partition": "aws",
            "AWS::Region": self._account.region,
            "AWS::StackId": self._stack_id,
            "AWS::StackName": self._stack_name,
            "AWS::URLSuffix": "amazonaws.com",
            **parameter_values(self._account, target.template.get("Parameters", {}), target.parameters),
        }
        return Resolver(target.template, values, self._state.resources.__getitem__, lambda: zones(self._account))

    def _bring(self, name: str, target: Target, resolver: Resolver, *, skips: bool, again: bool) -> None:
        declared = target.template["Resources"][name]
        try:
            wanted = Wanted(
                logical_id=name,
                type=declared["Type"],
                properties=resolver.resolve(declared.get("Properties", {})),
                stack_name=self._stack_name,
                stack_id=self._stack_id,
                stack_tags=target.tags,
            )
            if skips:
                self._work.skip(wanted)
            else:
                self._work.bring(declared, wanted, retagged=self._state.tags != target.tags, again=again)
        except Exception as error:
            log.info("%s failed", name, exc_info=True)
            self._work.fail(name, declared["Type"], error)
            raise

    def _clean_up(self, wanted: list[str]) -> None:
        """Deletes what was replaced and what is wanted no more; on the way back, what the failed update made."""
        vanished = [one for name, one in self._state.resources.items() if name not in wanted]
        for resource in vanished:
            del self._state.resources[resource.logical_resource_id]

        def delete(resource: Resource) -> None:
            is_undone = self._goes_back and any(resource is one for one in self._work.made)
            self._work.delete(resource, keeps=resource.deletion_policy in (KEPT[:1] if is_undone else KEPT))

        # As the service: the update is over, and what could not be deleted is left behind, with an event.
        with contextlib.suppress(Exception):
            _delete_side_by_side([*vanished, *(old for old, _ in self._work.replaced), *self._undone], delete)


def _delete_side_by_side(resources: list[Resource], delete: Callable[[Resource], None]) -> None:
    """Deletes the last ones first, as far as none depends on them that is still to be deleted."""
    # Not by their physical ids, because a bucket's policy has its bucket's.
    numbered = {str(number): one for number, one in enumerate(reversed(resources))}
    needed_by = {
        number: {other for other, user in numbered.items() if one.logical_resource_id in user.needs}
        for number, one in numbered.items()
    }
    side_by_side(
        numbered,
        needed_by,
        lambda number: delete(numbered[number]),
        takes_long=lambda number: takes_long(numbered[number].cf_resource_type),
        goes_on=True,
    )


def _outputs(target: Target, resolver: Resolver) -> StackOutputs:
    result = StackOutputs()
    for name, declared in target.template.get("Outputs", {}).items():
        if "Condition" in declared and not resolver.condition(declared["Condition"]):
            continue
        value = str(resolver.resolve(declared["Value"]))
        result.outputs.append(Output(name, value, declared.get("Description")))
    return result
