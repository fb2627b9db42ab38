"""The one stack: it wires the constructs, grants, and tells a person what comes next."""

from __future__ import annotations

import json
from typing import Any

from aws_cdk import Aws, CfnOutput, Fn, IgnoreMode, Stack
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from stacks.access import Access
from stacks.acknowledge import NIST, acknowledge
from stacks.budget import Budget
from stacks.facts.outputs import OUTPUTS
from stacks.facts.settings import Settings
from stacks.fleet import OF_THE_RUN_ALONE, Fleet, in_a_fleet
from stacks.gpu_instance import GpuInstance
from stacks.lifetime import Lifetime
from stacks.model_fit import ModelFit
from stacks.model_rights import ModelRights
from stacks.network import Network
from stacks.notice import Notice
from stacks.parameters import Parameters
from stacks.queues import Queues
from stacks.release import Release
from stacks.results import Results
from stacks.worker_role import WorkerRole
from userdata.contract.bundle import BUNDLE
from userdata.contract.notice import TOPIC
from userdata.contract.version import VERSION
from userdata.contract.work import BATCH, INTERACTIVE
from userdata.render import render_user_data

DESCRIPTION = f"sd-on-ec2 {VERSION}: from a prompt to images in a bucket"


class SdOnEc2Stack(Stack):
    """From prompt parameters to images in a bucket: one network, one instance, one bucket, and queues of work.

    With `bucket_alone` the stack has the bucket and nothing else, so that files can be uploaded which the instance of
    the whole stack will need. Rejected: uploading while the whole stack is created, which a first boot may outrun.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, bucket_alone: bool = False) -> None:
        self._first_zones = settings.zones if isinstance(settings.zones, int) else 1
        super().__init__(scope, construct_id, description=DESCRIPTION)
        reason = "A policy belongs to one role and goes with it; a managed one could be given to others."
        acknowledge(self, {"IAMNoInlinePolicy": reason}, NIST)
        given_settings = json.dumps(settings.given(), sort_keys=True)
        if bucket_alone:
            bucket = Results(self, "Results", settings=settings).bucket
            self._tell(ResultsBucket=bucket.bucket_name, Settings=given_settings)
            return
        parameters = Parameters(self)
        named_zones = settings.zones if isinstance(settings.zones, list) else []
        network = Network(self, "Network", az=settings.az, named_zones=named_zones)
        access = Access(self, "Access", vpc=network.vpc, ssh_cidr=parameters.text("SshCidr"))
        results = Results(self, "Results", settings=settings)
        bundle = self._build_bundle()
        queues = Queues(self, "Queues")
        worker_role = WorkerRole(
            self, "Worker", results=results.bucket, key=settings.output_key, bundle=bundle, queues=queues
        )
        model_rights = ModelRights(self, "ModelRights", parameters=parameters, role=worker_role.role)
        ModelFit(self, "Fit", parameters=parameters)
        plain = {
            **parameters.plain(),
            "ResultsBucket": results.bucket.bucket_name,
            "Region": Aws.REGION,
            "Queues": queues.prefix,
        }
        if settings.notify_email:
            notice = Notice(self, "Notice", name=queues.prefix, email=settings.notify_email, role=worker_role.role)
            plain[TOPIC] = notice.topic.topic_arn

        def user_data(*without: str, **others: str) -> str:
            return render_user_data(
                plain={**plain, **others},
                free_text={name: text for name, text in parameters.free_text().items() if name not in without},
                bundle_bucket=bundle.s3_bucket_name,
                bundle_key=bundle.s3_object_key,
            )

        parts: dict[str, Any] = {
            "settings": settings,
            "parameters": parameters,
            "network": network,
            "access": access,
            "worker_role": worker_role,
        }
        gpu = GpuInstance(self, "Gpu", **parts, user_data=user_data())
        # A first boot that may not fetch its model would fail for nothing. And the instance goes before the bucket is
        # emptied, because a worker that is being stopped still uploads what it has. On the bucket itself it depends by
        # its user data.
        around_bucket = [part for part in results.bucket.node.children if part.node.id != "Resource"]
        # What may fail for nothing's cost comes before the instance. The alarm and its schedule cannot: they name it.
        before_machines = [model_rights.policy, *around_bucket, network.endpoint, queues]
        gpu.instance.node.add_dependency(*before_machines)
        if settings.budget is not None and settings.budget_email is not None:
            budget = Budget(self, "Budget", usd_per_month=settings.budget, email=settings.budget_email)
            gpu.instance.node.add_dependency(budget)
        Lifetime(self, "Lifetime", instance_id=gpu.instance.ref, parameters=parameters, ends_by=gpu.ends_by)
        if settings.fleet is not None:
            fleet = Fleet(
                self,
                "FleetGroup",
                **parts,
                most=settings.fleet,
                queues=queues,
                results=results.bucket,
                user_data=user_data(*OF_THE_RUN_ALONE, **in_a_fleet(settings)),
            )
            fleet.group.node.add_dependency(*before_machines)
            self._tell(Fleet=fleet.group.ref)
        release = Release(
            self,
            "Release",
            queue=queues.work[BATCH],
            instance_id=gpu.instance.ref,
            group=queues.prefix if settings.fleet else None,
            most=settings.fleet,
        )
        self._tell_what_stands(gpu.instance.ref, results=results, queues=queues, release=release, access=access)
        self._tell(Settings=given_settings)

    def _tell_what_stands(
        self, instance_id: str, *, results: Results, queues: Queues, release: Release, access: Access
    ) -> None:
        key = access.key_pair.private_key.parameter_name
        self._tell(
            ResultsBucket=results.bucket.bucket_name,
            ReleaseRole=release.role.role_arn,
            InstanceId=instance_id,
            InteractiveQueue=queues.work[INTERACTIVE].queue_url,
            BatchQueue=queues.work[BATCH].queue_url,
            PrivateKey=(
                f"aws ssm get-parameter --region {Aws.REGION} --name {key} "
                "--with-decryption --query Parameter.Value --output text | (umask 077; cat > sd-on-ec2.pem)"
            ),
            Shell=f"aws ssm start-session --region {Aws.REGION} --target {instance_id}",
            Status="sd status",
            Images="sd results",
            Start="sd start",
            Destroy="cdk destroy",
        )

    @property
    def availability_zones(self) -> list[str]:
        """The region's first zones, by number.

        A stack that is not bound to a region gets two from CDK, and one that is makes the CLI ask AWS during synth.
        """
        return [Fn.select(index, Fn.get_azs()) for index in range(self._first_zones)]

    def _build_bundle(self) -> s3_assets.Asset:
        return s3_assets.Asset(
            self,
            "Bundle",
            path=str(BUNDLE.root),
            exclude=["**/__pycache__", "**/*.pyc", "*.j2", "render.py", "requirements.in"],
            ignore_mode=IgnoreMode.GLOB,
        )

    def _tell(self, **values: str) -> None:
        for name, value in values.items():
            CfnOutput(self, name, value=value, description=OUTPUTS[name])
