"""What the parts of a report share: whom they ask, and what several of them need."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from scripts.command_line.account.deployment import Deployment, find_deployment
from scripts.command_line.account.results_bucket import find_bucket
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from stacks.facts.tag_names import STACK_TAG

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client

# A report has many questions, and a network that is down must not make a person wait long for each.
QUICK = Config(connect_timeout=10, read_timeout=30, retries={"mode": "standard", "max_attempts": 2})


@dataclass(frozen=True)
class Told:
    """What a part says: in a line for the summary, and in full."""

    summary: str
    text: str


class Case:
    """One stack, by name, in one account. What several parts need is asked once; an error is kept as well.

    `words` are the person's own, and `left_out` what else stays at home, as far as the parts have met them.
    """

    def __init__(self, session: boto3.Session, stack: str) -> None:
        self.session = session
        self.stack = stack
        self.words: list[str] = []
        self.left_out: list[str] = []
        self._known: dict[str, Any] = {}

    @functools.cached_property
    def cloudformation(self) -> CloudFormationClient:
        """CloudFormation's client."""
        return self.session.client("cloudformation", config=QUICK)

    @functools.cached_property
    def ec2(self) -> EC2Client:
        """EC2's client."""
        return self.session.client("ec2", config=QUICK)

    @functools.cached_property
    def s3(self) -> S3Client:
        """S3's client."""
        return self.session.client("s3", config=QUICK)

    @property
    def deployment(self) -> Deployment | None:
        """The stack that stands, or None. Raises `CommandError` when AWS does not say."""
        found: Deployment | None = self._once("stack", lambda: find_deployment(self.session, self.stack))
        return found

    @property
    def bucket(self) -> str:
        """The bucket with the results, also one that a deleted stack left behind. Raises `CommandError` without one."""
        return str(self._once("bucket", lambda: find_bucket(self.session, stack=self.stack, bucket=None)))

    @property
    def instance_id(self) -> str:
        """The stack's instance, or else the latest with its tag. Raises `CommandError` without one."""
        return str(self._once("instance", self._find_instance))

    def _once(self, what: str, ask: Callable[[], Any]) -> Any:
        if what not in self._known:
            try:
                self._known[what] = ask()
            except CommandError as error:
                self._known[what] = error
        if isinstance(self._known[what], CommandError):
            raise self._known[what]
        return self._known[what]

    def _find_instance(self) -> str:
        try:
            named = self.deployment.outputs.get("InstanceId") if self.deployment else None
        except CommandError:
            named = None  # EC2 may still say, by the tag
        if named:
            return named
        with aws_errors_in_words(f"look for an instance of the stack {self.stack}"):
            wanted = [{"Name": f"tag:{STACK_TAG}", "Values": [self.stack]}]
            found = self.ec2.describe_instances(Filters=wanted)["Reservations"]  # type: ignore[arg-type]
        instances = [instance for reservation in found for instance in reservation["Instances"]]
        if not instances:
            raise CommandError(f"The stack {self.stack} has no instance.")
        return max(instances, key=lambda one: one["LaunchTime"])["InstanceId"]
