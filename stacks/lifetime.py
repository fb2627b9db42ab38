"""The hard limit of an uptime, from outside: it holds even when the guest hangs."""

from __future__ import annotations

from aws_cdk import Duration, Token
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from stacks.parameters import Parameters


class Lifetime(Construct):
    """An alarm that stops the instance after MaxHours.

    CPU utilisation comes from the hypervisor and is never below zero, so an hour in which the instance runs at all
    counts as breaching, and an hour in which it does not (no data) counts as not. Rejected: a schedule at a fixed
    time, which would change the template, and so the stack, at every deploy.
    """

    def __init__(self, scope: Construct, construct_id: str, *, instance_id: str, parameters: Parameters) -> None:
        super().__init__(scope, construct_id)
        running = cloudwatch.Metric(
            namespace="AWS/EC2",
            metric_name="CPUUtilization",
            dimensions_map={"InstanceId": instance_id},
            period=Duration.hours(1),
            statistic="Maximum",
        )
        self.alarm = running.create_alarm(
            self,
            "Alarm",
            alarm_description="sd-on-ec2: stops the instance when it has run for MaxHours",
            threshold=0,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=Token.as_number(parameters.reference("MaxHours")),
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        self.alarm.add_alarm_action(actions.Ec2Action(actions.Ec2InstanceAction.STOP))
