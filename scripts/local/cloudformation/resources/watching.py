"""What watches an instance and the bill: alarms, schedules and budgets. moto's CloudFormation knows none of them.

`scripts.local.watching` sets alarms off and runs schedules. Nothing is billed here that could pass a budget.
"""

from __future__ import annotations

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.api_call import call
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted
from scripts.local.watching.metrics import check_emulated


def _create_alarm(account: Account, wanted: Wanted) -> Resource:
    resource = Resource(wanted.name(255))
    _put_alarm(account, resource, wanted)
    return resource


def _put_alarm(account: Account, resource: Resource, wanted: Wanted) -> None:
    """Raises `ValueError` for an alarm over a metric that is not emulated."""
    check_emulated(wanted.properties)
    asked = {**wanted.properties, "AlarmName": resource.physical_resource_id}
    call(account.client("cloudwatch"), "PutMetricAlarm", **asked)


def _delete_alarm(account: Account, resource: Resource) -> None:
    account.client("cloudwatch").delete_alarms(AlarmNames=[resource.physical_resource_id])


def _create_schedule(account: Account, wanted: Wanted) -> Resource:
    name = wanted.name()
    call(account.client("scheduler"), "CreateSchedule", **wanted.properties, Name=name)
    return Resource(name)


def _update_schedule(account: Account, resource: Resource, wanted: Wanted) -> None:
    asked = {**wanted.properties, "Name": resource.physical_resource_id}
    call(account.client("scheduler"), "UpdateSchedule", **asked)


def _delete_schedule(account: Account, resource: Resource) -> None:
    account.client("scheduler").delete_schedule(Name=resource.physical_resource_id)


def _create_budget(account: Account, wanted: Wanted) -> Resource:
    name = wanted.name()
    call(
        account.client("budgets"),
        "CreateBudget",
        AccountId=account.id,
        Budget={**wanted.properties["Budget"], "BudgetName": name},
        NotificationsWithSubscribers=wanted.properties["NotificationsWithSubscribers"],
        ResourceTags=wanted.properties.get("ResourceTags", []),
    )
    return Resource(name)


def _delete_budget(account: Account, resource: Resource) -> None:
    account.client("budgets").delete_budget(AccountId=account.id, BudgetName=resource.physical_resource_id)


TYPES = {
    # AWS changes a budget in place; moto's API cannot, so here every change makes a new one.
    "AWS::Budgets::Budget": ResourceType(
        _create_budget, _delete_budget, properties=frozenset({"Budget", "NotificationsWithSubscribers", "ResourceTags"})
    ),
    "AWS::CloudWatch::Alarm": ResourceType(_create_alarm, _delete_alarm, _put_alarm, frozenset()),
    "AWS::Scheduler::Schedule": ResourceType(_create_schedule, _delete_schedule, _update_schedule, frozenset()),
}
