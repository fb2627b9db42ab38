"""A deployed stack with queues, and with a fleet where a test asks for one, in moto."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.command_line.account.deployment import Deployment, need_deployment
from scripts.command_line.account.plan import Plan, make_plan
from tests.unit.command_line.conftest import Account

PREFIX = "sd-12345678-1234-1234-1234-123456789012"
TYPES = ("g6.xlarge", "g5.xlarge", "g4dn.xlarge")


class Fleet:
    """A stack with a fleet of `size` machines, of which `on_demand` percent are bought on demand."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.autoscaling: Any = account.session.client("autoscaling")
        self.sqs: Any = account.session.client("sqs")
        account.outputs["BatchQueue"] = self.sqs.create_queue(QueueName=f"{PREFIX}-batch")["QueueUrl"]
        account.outputs["InteractiveQueue"] = self.sqs.create_queue(QueueName=f"{PREFIX}-interactive")["QueueUrl"]
        account.outputs["ReleaseRole"] = "arn:aws:iam::123456789012:role/release"

    def deploy(self, size: int = 0, on_demand: int = 0, types: tuple[str, ...] = TYPES, **parameters: str) -> None:
        """The stack, with a fleet unless `size` is 0."""
        settings = {}
        if size:
            self._make_group(size, on_demand, types)
            self.account.outputs["Fleet"] = PREFIX
            settings = {"fleet": str(size), "fleet_types": ",".join(types), "fleet_on_demand": str(on_demand)}
        self.account.deploy(json.dumps(settings), **parameters)

    def _make_group(self, size: int, on_demand: int, types: tuple[str, ...]) -> None:
        template = {"ImageId": "ami-12c6146b", "InstanceType": "g6.xlarge"}
        self.account.ec2.create_launch_template(LaunchTemplateName="fleet", LaunchTemplateData=template)  # type: ignore[arg-type]
        self.autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=PREFIX,
            MinSize=0,
            MaxSize=size,
            AvailabilityZones=["us-east-1b"],
            MixedInstancesPolicy={
                "LaunchTemplate": {
                    "LaunchTemplateSpecification": {"LaunchTemplateName": "fleet", "Version": "$Latest"},
                    "Overrides": [{"InstanceType": name} for name in types],
                },
                "InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": on_demand},
            },
        )

    @property
    def deployment(self) -> Deployment:
        return need_deployment(self.account.session, "SdOnEc2")

    @property
    def plan(self) -> Plan:
        return make_plan(self.deployment, {}, {})

    @property
    def group(self) -> dict[str, Any]:
        return self.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]  # type: ignore[no-any-return]


@pytest.fixture
def fleet(account: Account) -> Fleet:
    return Fleet(account)
