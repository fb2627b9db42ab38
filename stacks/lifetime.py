"""The hard limit of an uptime, from outside: it holds however the guest behaves, and whether or not it ever worked."""

from __future__ import annotations

from aws_cdk import ArnFormat, Aws, CfnMapping, Duration, Stack, Token
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from constructs import Construct

from stacks.facts.machine_parameters import LONGEST_HOURS
from stacks.parameters import Parameters

# As often as EC2 reports without detailed monitoring. 24 hours of it are the longest that an alarm may look back with
# periods of less than an hour.
PERIOD = Duration.minutes(5)
PERIODS_PER_HOUR = 12
REARM = Duration.minutes(30)


class Lifetime(Construct):
    """An alarm that ends the instance when it has run for MaxHours on end.

    `ends_by` is the verb of EC2 for that, stop or terminate: a machine that AfterRun terminates would otherwise be
    stopped, and its disk paid for until somebody sees it.

    CPU utilisation comes from the hypervisor and is never below zero, so five minutes in which the instance runs at
    all count as breaching, and five in which it does not (no data) as not. Rejected: periods of an hour, since an
    alarm over N of them goes off as soon as each of the last N holds any data, up to an hour early: with MaxHours 1,
    minutes after the start. Rejected: a schedule at a fixed time, which would change the template, and so the stack, at
    every deploy.

    An alarm acts when it goes off, and not again while it stays so. An instance that is started again before the alarm
    has seen it off would never be stopped a second time, and neither would one whose stop went wrong. So a schedule
    sets the alarm back twice an hour; it goes off anew, and acts anew, within a minute if there is still a reason.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, instance_id: str, parameters: Parameters, ends_by: str
    ) -> None:
        super().__init__(scope, construct_id)
        running = cloudwatch.Metric(
            namespace="AWS/EC2",
            metric_name="CPUUtilization",
            dimensions_map={"InstanceId": instance_id},
            period=PERIOD,
            statistic="Maximum",
        )
        self.alarm = running.create_alarm(
            self,
            "Alarm",
            alarm_description="sd-on-ec2: ends the instance when it has run for MaxHours",
            threshold=0,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=self._periods_of(parameters),
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm = self.alarm.node.default_child
        assert isinstance(alarm, cloudwatch.CfnAlarm)
        # CDK's own action has a fixed verb.
        alarm.alarm_actions = [f"arn:{Aws.PARTITION}:automate:{Aws.REGION}:ec2:{ends_by}"]
        self._rearm()

    def _periods_of(self, parameters: Parameters) -> float:
        """MaxHours in periods, looked up, since a template cannot multiply."""
        periods = {str(hours): {"periods": str(hours * PERIODS_PER_HOUR)} for hours in range(1, LONGEST_HOURS + 1)}
        mapping = CfnMapping(self, "Hours", mapping=periods)
        return Token.as_number(mapping.find_in_map(parameters.text("MaxHours"), "periods"))

    def _rearm(self) -> None:
        arn = Stack.of(self).format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=self.alarm.alarm_name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        scheduler.Schedule(
            self,
            "Rearm",
            description="sd-on-ec2: lets the alarm of MaxHours act again",
            schedule=scheduler.ScheduleExpression.rate(REARM),
            target=targets.Universal(
                service="cloudwatch",
                action="setAlarmState",
                input=scheduler.ScheduleTargetInput.from_object(
                    {
                        "AlarmName": self.alarm.alarm_name,
                        "StateValue": "OK",
                        "StateReason": "set back so that it acts again if the instance still runs",
                    }
                ),
                policy_statements=[iam.PolicyStatement(actions=["cloudwatch:SetAlarmState"], resources=[arn])],
                retry_attempts=0,  # the next one comes soon enough
            ),
        )
