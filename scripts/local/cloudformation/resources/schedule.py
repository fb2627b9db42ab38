"""AWS::Scheduler::Schedule."""

from __future__ import annotations

from typing import Any

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.api_parameters import api_parameters
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


class Schedule(ResourceType):
    """A schedule; moto's CloudFormation does not know the type. `scripts.local.aws.alarm_clock` is what runs it."""

    type = "AWS::Scheduler::Schedule"
    replaced_by = frozenset({"Name"})

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes the schedule."""
        name = wanted.properties.get("Name") or wanted.name()
        account.client("scheduler").create_schedule(**_asked(account, "CreateSchedule", name, wanted.properties))
        return Resource(name, {"Arn": f"arn:aws:scheduler:{account.region}:{account.id}:schedule/default/{name}"})

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Puts the new properties in the old ones' place."""
        asked = _asked(account, "UpdateSchedule", resource.physical_resource_id, wanted.properties)
        account.client("scheduler").update_schedule(**asked)

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes the schedule."""
        account.client("scheduler").delete_schedule(Name=resource.physical_resource_id)


def _asked(account: Account, operation: str, name: str, properties: dict[str, Any]) -> dict[str, Any]:
    asked: dict[str, Any] = {**properties, "Name": name}
    return api_parameters(account.client("scheduler"), operation, asked)
