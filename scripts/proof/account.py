"""The account as the proof sees it: its own stack, with the instances and everything else that carries its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

from scripts.command_line.account.deployment import RETRIES, Deployment, find_deployment
from scripts.command_line.account.instance import GONE
from scripts.command_line.ending.audit.audit import look_through
from scripts.command_line.ending.audit.leftover import Leftover
from scripts.command_line.terminal.command_error import aws_errors_in_words
from scripts.proof.place import STACK
from stacks.facts.tag_names import STACK_TAG

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client

Instance = dict[str, Any]
BILLED = ("pending", "running", "stopping", "shutting-down")


@dataclass(frozen=True)
class Look:
    """One look at the stack, None for none, and at every instance that it has had, by its id."""

    deployment: Deployment | None
    instances: dict[str, Instance]

    @property
    def state(self) -> str:
        """CloudFormation's word for the stack's state; `gone` where there is none."""
        return self.deployment.state if self.deployment else "gone"

    @property
    def instance_id(self) -> str:
        """The stack's own instance; empty while it has none."""
        return self.deployment.outputs.get("InstanceId", "") if self.deployment else ""

    @property
    def instance(self) -> Instance:
        """The stack's own instance, as EC2 describes it; empty where there is none."""
        return self.instances.get(self.instance_id, {})

    def instance_state(self, instance_id: str) -> str:
        """EC2's word for the state of an instance; `gone` once EC2 has forgotten it."""
        return str(self.instances.get(instance_id, {}).get("State", {}).get("Name", "gone"))

    @property
    def can_be_deployed(self) -> bool:
        """Whether CloudFormation takes another deploy."""
        return self.state.endswith("_COMPLETE") and self.state not in ("ROLLBACK_COMPLETE", "DELETE_COMPLETE")


class Account:
    """Asks AWS, always anew. Every method raises `CommandError` when AWS cannot be asked."""

    def __init__(self, session: boto3.Session) -> None:
        self.session = session

    @property
    def region(self) -> str:
        """The session's region; empty for none."""
        return self.session.region_name or ""

    def look(self) -> Look:
        """The stack and its instances now."""
        return Look(find_deployment(self.session, STACK), self._instances())

    def billed(self) -> list[str]:
        """The types of the instances that are billed now."""
        return [one["InstanceType"] for one in self._instances().values() if one["State"]["Name"] in BILLED]

    def running(self) -> list[str]:
        """The ids of the instances that are not gone."""
        return [name for name, one in self._instances().items() if one["State"]["Name"] not in GONE]

    def audited(self) -> list[Leftover]:
        """What the audit of `sd teardown` finds of the proof: in the region, and buckets in every region."""
        return [one for one in look_through(self.session).left if one.stack == STACK]

    def buckets(self) -> list[str]:
        """The proof's buckets in the region. They outlive the stack, and no audit lists those that are still empty."""
        return [name for name in self._all_buckets() if self._home(name) == self.region]

    def regions(self) -> list[str]:
        """The session's region, and every other one in which a proof has a bucket: no instance is without one."""
        return list(dict.fromkeys([self.region, *map(self._home, self._all_buckets())]))

    def _all_buckets(self) -> list[str]:
        s3: S3Client = self.session.client("s3", config=RETRIES)
        with aws_errors_in_words("list your buckets"):
            names = [one["Name"] for one in s3.list_buckets()["Buckets"]]
        # CloudFormation names a bucket after its stack.
        return [name for name in names if name.startswith(f"{STACK.lower()}-")]

    def _home(self, bucket: str) -> str:
        """The region of a bucket; the session's for one that S3 still lists and has deleted."""
        s3: S3Client = self.session.client("s3", config=RETRIES)
        with aws_errors_in_words(f"ask for the region of {bucket}"):
            try:
                return s3.get_bucket_location(Bucket=bucket).get("LocationConstraint") or "us-east-1"
            except s3.exceptions.NoSuchBucket:
                return self.region

    def stack_resource(self, kind: str) -> str:
        """The id of the stack's only resource of that type; empty where there is none."""
        with aws_errors_in_words(f"list what belongs to {STACK}"):
            client = self.session.client("cloudformation", config=RETRIES)
            found = client.describe_stack_resources(StackName=STACK)["StackResources"]
        return next((one["PhysicalResourceId"] for one in found if one["ResourceType"] == kind), "")

    def _instances(self) -> dict[str, Instance]:
        ec2: EC2Client = self.session.client("ec2", config=RETRIES)
        with aws_errors_in_words("look for the proof's instances"):
            pages = ec2.get_paginator("describe_instances").paginate(
                Filters=[{"Name": f"tag:{STACK_TAG}", "Values": [STACK]}]
            )
            found: list[Any] = [one for page in pages for entry in page["Reservations"] for one in entry["Instances"]]
        return {one["InstanceId"]: one for one in found}
