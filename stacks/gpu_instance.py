"""The GPU instance and its launch template."""

from __future__ import annotations

from typing import Any

from aws_cdk import Aws, CfnCondition, Fn, Tags
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from stacks.access import Access
from stacks.acknowledge import NIST, acknowledge
from stacks.facts.settings import Settings
from stacks.launch_template import build_launch_template, properties_of, tags_at_launch
from stacks.network import Network
from stacks.parameters import Parameters
from stacks.tags import tags
from stacks.worker_role import WorkerRole

REPLACES_TAG = "sd-on-ec2:replaces"


class GpuInstance(Construct):
    """One instance. Its user data is its own property, so that a changed prompt restarts it in place.

    The launch template holds what never changes with a prompt. It names the image by `resolve:ssm:`, so the template's
    text stays the same when a new image is released. Rejected: an image id resolved as a template parameter, which
    replaces the instance, disk and all, at the first deploy after each release.

    A change of the launch template makes a new instance in the old one's place, whether or not that one is still there;
    so does another value of Replaces, which is a tag in it. An instance that is terminated after its run, by AfterRun
    or because it is a spot instance, is gone at the next deploy and cannot be changed. So its type and its user data
    lie in the template: another prompt or another type is another instance. Rejected: that for every instance, which
    would then lose its disk with each prompt.

    `ends_by` is the verb of EC2 that ends the instance: stop or terminate, as AfterRun says.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        parameters: Parameters,
        network: Network,
        access: Access,
        worker_role: WorkerRole,
        user_data: str,
    ) -> None:
        super().__init__(scope, construct_id)
        # EC2 refuses "stop" for a one-time spot request.
        self._terminates = None if settings.spot else self._condition(parameters)
        self.ends_by = self._if_it_terminates("terminate", "stop")
        launch_template = self._build_launch_template(settings, parameters, access, user_data)
        self.instance = ec2.CfnInstance(
            self,
            "Instance",
            launch_template=ec2.CfnInstance.LaunchTemplateSpecificationProperty(
                launch_template_id=launch_template.launch_template_id,
                version=launch_template.latest_version_number,
            ),
            instance_type=parameters.text("InstanceType"),
            subnet_id=network.subnet.subnet_id,
            security_group_ids=[access.security_group.security_group_id],
            iam_instance_profile=worker_role.instance_profile.instance_profile_name,
            instance_initiated_shutdown_behavior=self.ends_by,
            propagate_tags_to_volume_on_creation=True,
            user_data=self._if_it_terminates(None, Fn.base64(user_data)),
        )
        Tags.of(self.instance).add("Name", "sd-on-ec2")
        acknowledge(
            self.instance,
            {
                "EC28": "Detailed monitoring costs money; the lifetime alarm needs one value an hour.",
                "EC29": "The instance is meant to be destroyed at will; what is worth keeping is in the bucket.",
            },
        )
        reason = "The rule cannot read a parameter; GPU types are EBS-optimized by themselves."
        acknowledge(self.instance, {"EC2EBSOptimizedInstance": reason}, NIST)
        # Without a way out or the right to fetch its bundle, a first boot would fail for nothing; and the other way
        # round, the instance goes before its rights do, so it can still report.
        self.instance.node.add_dependency(network.subnet.internet_connectivity_established, worker_role.policy)

    def _build_launch_template(
        self, settings: Settings, parameters: Parameters, access: Access, user_data: str
    ) -> ec2.LaunchTemplate:
        launch_template = build_launch_template(
            self, settings=settings, parameters=parameters, access=access, spot_options=_spot_options(settings)
        )
        template = properties_of(launch_template)
        for name, value in {"InstanceType": parameters.text("InstanceType"), "UserData": Fn.base64(user_data)}.items():
            template.add_property_override(f"LaunchTemplateData.{name}", self._if_it_terminates(value, None))
        template.add_property_override("LaunchTemplateData.TagSpecifications", _tags_at_launch(settings, parameters))
        return launch_template

    def _condition(self, parameters: Parameters) -> CfnCondition:
        return CfnCondition(
            self, "Terminates", expression=Fn.condition_equals(parameters.text("AfterRun"), "terminate")
        )

    def _if_it_terminates(self, yes: str | None, no: str | None) -> Any:
        """A property that is `yes` for an instance that is terminated after its run, else `no`; None is no property."""
        if self._terminates is None:
            return yes
        values = [Aws.NO_VALUE if value is None else value for value in (yes, no)]
        return Fn.condition_if(self._terminates.logical_id, *values).to_string()


def _spot_options(settings: Settings) -> ec2.LaunchTemplateSpotOptions | None:
    """One-time, so that no request outlives its instance and launches another. No price means up to on-demand's."""
    if not settings.spot:
        return None
    return ec2.LaunchTemplateSpotOptions(
        request_type=ec2.SpotRequestType.ONE_TIME,
        interruption_behavior=ec2.SpotInstanceInterruption.TERMINATE,
        max_price=settings.max_price,
    )


def _tags_at_launch(settings: Settings, parameters: Parameters) -> list[dict[str, object]]:
    """The tags that EC2 gives to what is launched with this template alone.

    When CloudFormation launches the instance, the instance's own tags take their place, and its network interface gets
    none. The tags stay, because Replaces must change the template, and because another text would replace the
    instances of stacks that stand.
    Source: https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1947
    """
    tagged = {"Name": "sd-on-ec2", **tags()}
    by_type: dict[str, dict[str, str]] = {
        "instance": {**tagged, REPLACES_TAG: parameters.text("Replaces")},
        "volume": tagged,
        "network-interface": tagged,
        **({"spot-instances-request": tagged} if settings.spot else {}),
    }
    return tags_at_launch(by_type)
