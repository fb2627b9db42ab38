"""AWS::CloudWatch::Alarm."""

from __future__ import annotations

from typing import Any

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.api_parameters import api_parameters
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


class Alarm(ResourceType):
    """An alarm; moto's CloudFormation does not know the type. `scripts.local.aws.alarm_clock` sets it off."""

    type = "AWS::CloudWatch::Alarm"
    replaced_by = frozenset({"AlarmName"})

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes the alarm."""
        name = wanted.properties.get("AlarmName") or wanted.name(255)
        arn = f"arn:aws:cloudwatch:{account.region}:{account.id}:alarm:{name}"
        resource = Resource(name, {"Arn": arn})
        self.update(account, resource, wanted)
        return resource

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Puts the alarm anew."""
        cloudwatch = account.client("cloudwatch")
        asked: dict[str, Any] = {**wanted.properties, "AlarmName": resource.physical_resource_id}
        cloudwatch.put_metric_alarm(**api_parameters(cloudwatch, "PutMetricAlarm", asked))

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes the alarm."""
        account.client("cloudwatch").delete_alarms(AlarmNames=[resource.physical_resource_id])
