"""The work on one resource of a stack at a time: makes it, changes it, deletes it, and tells of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, Wanted
from scripts.local.cloudformation.resources.types import resource_type
from scripts.local.cloudformation.stack_state import StackState

log = logging.getLogger(__name__)

# Logical id, physical id, type, status, reason.
Report = Callable[[str, str, str, str, str | None], None]


@dataclass
class ResourceWork:
    """What one operation does with the resources of a stack. `report` takes one event of a resource.

    `failed` are the logical ids of what could not be changed. `replaced` are the resources whose place another one has
    taken, each with that other one, and `made` are all that came into being.
    """

    account: Account
    state: StackState
    report: Report
    failed: set[str] = field(default_factory=set)
    made: list[Resource] = field(default_factory=list)
    replaced: list[tuple[Resource, Resource]] = field(default_factory=list)

    def bring(self, declared: dict[str, Any], wanted: Wanted, *, retagged: bool, again: bool) -> None:
        """Makes a resource, or changes it if it is another than it was, the stack is `retagged`, or it failed before.

        Raises whatever the emulated API raised.
        """
        existing = self.state.resources.get(wanted.logical_id)
        if existing and existing.properties == wanted.properties and not retagged and not again:
            existing.deletion_policy = declared.get("DeletionPolicy", "Delete")
            return
        action, physical_id = ("UPDATE", existing.physical_resource_id) if existing else ("CREATE", "")
        self.report(wanted.logical_id, physical_id, wanted.type, f"{action}_IN_PROGRESS", None)
        resource = self._make_or_change(existing, wanted, again=again)
        resource.logical_resource_id, resource.cf_resource_type = wanted.logical_id, wanted.type
        resource.properties = wanted.properties
        resource.deletion_policy = declared.get("DeletionPolicy", "Delete")
        if resource is not existing:
            self.made.append(resource)
            if existing:
                self.replaced.append((existing, resource))
                existing.deletion_policy = declared.get("UpdateReplacePolicy", "Delete")
        self.state.resources[wanted.logical_id] = resource
        self.tell(resource, f"{action}_COMPLETE")

    def _make_or_change(self, existing: Resource | None, wanted: Wanted, *, again: bool) -> Resource:
        kind = resource_type(wanted.type)
        kind.check(wanted)
        if (
            existing is None
            or existing.cf_resource_type != wanted.type
            or kind.is_replaced(existing.properties, wanted.properties)
        ):
            return kind.create(self.account, wanted)
        try:
            kind.update(self.account, existing, wanted)
        except Exception:
            if not again:
                # Changed in part, so that a rollback has to change it back, as the service does.
                existing.properties = wanted.properties
            raise
        return existing

    def fail(self, name: str, kind: str, error: Exception) -> None:
        """Tells that a resource could be neither made nor changed."""
        existing = self.state.resources.get(name)
        if existing:
            self.failed.add(name)
            self.tell(existing, "UPDATE_FAILED", reason_of(error))
        else:
            self.report(name, "", kind, "CREATE_FAILED", reason_of(error))

    def skip(self, wanted: Wanted) -> None:
        """Leaves a resource as it is, and takes it for what is wanted."""
        resource = self.state.resources[wanted.logical_id]
        resource.properties = wanted.properties
        self.tell(resource, "UPDATE_COMPLETE", "Resource skipped during UpdateRollback")

    def delete(self, resource: Resource, *, keeps: bool) -> None:
        """Deletes a resource, unless it `keeps` it. Raises whatever the emulated API raised."""
        if keeps:
            self.tell(resource, "DELETE_SKIPPED")
            return
        self.tell(resource, "DELETE_IN_PROGRESS")
        try:
            resource_type(resource.cf_resource_type).delete(self.account, resource)
        except Exception as error:
            log.info("The deletion of %s failed", resource.logical_resource_id, exc_info=True)
            self.tell(resource, "DELETE_FAILED", reason_of(error))
            raise
        self.tell(resource, "DELETE_COMPLETE")

    def tell(self, resource: Resource, status: str, reason: str | None = None) -> None:
        """One event of a resource, which has this status from now on."""
        resource.status, resource.reason = status, reason
        self.report(
            resource.logical_resource_id, resource.physical_resource_id, resource.cf_resource_type, status, reason
        )


def reason_of(error: Exception) -> str:
    """Why something failed, in the words of an event."""
    if isinstance(error, ClientError):
        return f"{error.response['Error']['Message']} ({error.response['Error']['Code']})"
    return str(error) or type(error).__name__
