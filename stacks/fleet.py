"""The fleet: an Auto Scaling group of 0 to N machines, which a command sizes and in which each machine ends itself."""

from __future__ import annotations

from typing import Any

from aws_cdk import Aws, Fn
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.access import Access
from stacks.acknowledge import NIST, acknowledge
from stacks.facts.machine_parameters import AfterRun, OnFailure
from stacks.facts.settings import Settings
from stacks.fleet_fit import FleetFit
from stacks.fleet_rights import FleetRights
from stacks.launch_template import build_launch_template, properties_of, tags_at_launch
from stacks.network import Network
from stacks.parameters import Parameters
from stacks.queues import Queues
from stacks.tags import tags
from stacks.worker_role import WorkerRole
from userdata.contract.work import BATCH
from userdata.fleet.market import PARAMETER, Market

# How long something is queued while no machine is wanted, until the alarm asks for one. A command that sizes the group
# does so within seconds.
ALARM_MINUTES = 5


class Fleet(Construct):
    """The group has the queues' name, so that a machine knows it without being told.

    The template names no desired capacity, because an update would then set it back. A machine that ends is replaced
    only where the group's desired capacity asks for it: nothing scales in, and nothing protects a machine from being
    ended, so that a maximum of 0 ends them all. Capacity rebalance is off: it launches on a mere risk, and a unit is
    shorter than a spot notice. The process AZRebalance, which ends busy machines to even out zones, has no property in
    CloudFormation; the command that sizes the group suspends it each time. Rejected: a Lambda function that does so
    once, for one call.

    A spot request has no tags of its own: EC2 takes tags for one only where a spot instance is launched, and the
    template launches on-demand machines too.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        most: int,
        settings: Settings,
        parameters: Parameters,
        network: Network,
        access: Access,
        worker_role: WorkerRole,
        queues: Queues,
        results: s3.IBucket,
        user_data: str,
    ) -> None:
        super().__init__(scope, construct_id)
        rights = FleetRights(
            self,
            "Rights",
            role=worker_role.role,
            results=results,
            group=queues.prefix,
            fallback=settings.fleet_fallback,
        )
        launch_template = build_launch_template(
            self,
            settings=settings,
            parameters=parameters,
            access=access,
            instance_profile=worker_role.instance_profile,
            security_group=access.security_group,
            instance_initiated_shutdown_behavior=ec2.InstanceInitiatedShutdownBehavior.TERMINATE,
            user_data=ec2.UserData.custom(user_data),
        )
        tagged = {"Name": "sd-on-ec2 fleet", **tags()}
        properties_of(launch_template).add_property_override(
            "LaunchTemplateData.TagSpecifications",
            tags_at_launch(dict.fromkeys(("instance", "volume", "network-interface"), tagged)),
        )
        self.group = autoscaling.CfnAutoScalingGroup(
            self,
            "Group",
            auto_scaling_group_name=queues.prefix,
            min_size="0",
            max_size=str(most),
            vpc_zone_identifier=[subnet.subnet_id for subnet in network.subnets],
            health_check_type="EC2",
            capacity_rebalance=False,
            metrics_collection=[
                autoscaling.CfnAutoScalingGroup.MetricsCollectionProperty(
                    granularity="1Minute", metrics=["GroupDesiredCapacity", "GroupInServiceInstances"]
                )
            ],
            mixed_instances_policy=_policy(settings, launch_template, FleetFit(self, "Fit", settings, parameters)),
        )
        acknowledge(
            self.group,
            {
                "AS3": "The commands tell what the fleet does; a topic with a mail for each machine would be noise.",
                "EC26": "The rule cannot read the launch template, which encrypts its one disk.",
            },
        )
        reason = "The rule cannot read the launch template, which requires version 2."
        acknowledge(self.group, {"EC2IMDSv2Enabled": reason}, NIST)
        # Without a way out or its rights, each first boot would fail for nothing; and the group goes before they do.
        self.group.node.add_dependency(
            *(subnet.internet_connectivity_established for subnet in network.subnets),
            worker_role.policy,
            rights.policy,
        )
        self._build_backstop(queues)

    def _build_backstop(self, queues: Queues) -> None:
        """Wants one machine when batches are queued and none is wanted: the last has left just before a message came.

        By the desired capacity, and not by the machines in service: while EC2 has no capacity none is in service, and
        an alarm acts again each minute, so that the group would grow to its maximum. By the queue of batches alone: an
        interactive run is that of a command which starts the instance.
        """
        policy = autoscaling.CfnScalingPolicy(
            self,
            "OneMore",
            auto_scaling_group_name=self.group.ref,
            policy_type="StepScaling",
            adjustment_type="ChangeInCapacity",
            step_adjustments=[
                autoscaling.CfnScalingPolicy.StepAdjustmentProperty(scaling_adjustment=1, metric_interval_lower_bound=0)
            ],
        )
        cloudwatch.CfnAlarm(
            self,
            "Backstop",
            alarm_description="sd-on-ec2: starts a machine of the fleet when batches are queued and none is wanted",
            metrics=[
                _metric(
                    "queued", "AWS/SQS", "ApproximateNumberOfMessagesVisible", QueueName=queues.work[BATCH].queue_name
                ),
                _metric("desired", "AWS/AutoScaling", "GroupDesiredCapacity", AutoScalingGroupName=self.group.ref),
                cloudwatch.CfnAlarm.MetricDataQueryProperty(
                    id="wanted", expression="IF(queued > 0 AND FILL(desired, 0) < 1, 1, 0)", return_data=True
                ),
            ],
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=1,
            evaluation_periods=ALARM_MINUTES,
            treat_missing_data="notBreaching",
            alarm_actions=[policy.ref],
        )


# A machine of a fleet does not do the deployed run. Without its long texts the user data has room for the way out of
# the group, and another prompt leaves the launch template as it is.
OF_THE_RUN_ALONE = ("Prompt", "NegativePrompt")


def in_a_fleet(settings: Settings) -> dict[str, str]:
    """What the user data of a fleet's machine says otherwise than the instance's, by the parameters' names.

    No machine stays for a look: it would cost money until MaxHours, times the machines whose boots fail alike. The
    price is that of the instance, and a fleet has other types in other markets: its machines look into the table.
    """
    market = Market(on_demand_percent=settings.fleet_on_demand, fallback=settings.fleet_fallback)
    return {
        PARAMETER: market.to_text(),
        "AfterRun": AfterRun.terminate.value,
        "OnFailure": OnFailure.stop.value,
        "UsdPerHour": "0",
    }


def _policy(
    settings: Settings, launch_template: ec2.LaunchTemplate, fit: FleetFit
) -> autoscaling.CfnAutoScalingGroup.MixedInstancesPolicyProperty:
    group = autoscaling.CfnAutoScalingGroup
    return group.MixedInstancesPolicyProperty(
        instances_distribution=group.InstancesDistributionProperty(
            on_demand_base_capacity=0,
            on_demand_percentage_above_base_capacity=settings.fleet_on_demand,
            on_demand_allocation_strategy="prioritized",
            spot_allocation_strategy="price-capacity-optimized",
        ),
        launch_template=group.LaunchTemplateProperty(
            launch_template_specification=group.LaunchTemplateSpecificationProperty(
                launch_template_id=launch_template.launch_template_id,
                version=launch_template.latest_version_number,
            ),
            overrides=[_override(name, fit) for name in dict.fromkeys(settings.fleet_types)],
        ),
    )


def _override(name: str, fit: FleetFit) -> Any:
    condition = fit.condition(name)
    if condition is None:
        return autoscaling.CfnAutoScalingGroup.LaunchTemplateOverridesProperty(instance_type=name)
    return Fn.condition_if(condition.logical_id, {"InstanceType": name}, Aws.NO_VALUE)


def _metric(query: str, namespace: str, name: str, **dimensions: str) -> cloudwatch.CfnAlarm.MetricDataQueryProperty:
    alarm = cloudwatch.CfnAlarm
    return alarm.MetricDataQueryProperty(
        id=query,
        return_data=False,
        metric_stat=alarm.MetricStatProperty(
            metric=alarm.MetricProperty(
                namespace=namespace,
                metric_name=name,
                dimensions=[alarm.DimensionProperty(name=key, value=value) for key, value in dimensions.items()],
            ),
            period=60,
            stat="Maximum",
        ),
    )
