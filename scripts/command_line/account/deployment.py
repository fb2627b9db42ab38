"""The deployment: the stack that stands, as CloudFormation describes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions
from botocore.config import Config

from scripts.command_line.account.user_data import as_described, parameters_in, user_data_of
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

RETRIES = Config(retries={"mode": "standard", "max_attempts": 5})
# States that a failed operation leaves a stack in, and what has happened. `sd deploy` leads out of each.
TROUBLES = {
    "CREATE_FAILED": "its creation failed, and was not rolled back",
    "DELETE_FAILED": "not all of it could be deleted",
    "REVIEW_IN_PROGRESS": "its creation was prepared, and never begun",
    "ROLLBACK_COMPLETE": "its creation failed, and nothing of it is left",
    "ROLLBACK_FAILED": "its creation failed, and not all of it could be deleted",
    "UPDATE_FAILED": "its last change failed, and was not rolled back",
    "UPDATE_ROLLBACK_FAILED": "its last change failed, and so did the way back; nothing can be changed until that ends",
}
# Of these, the ones in which nothing stands that a deploy could change: it makes a new stack.
NOT_STANDING = ("CREATE_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")


@dataclass(frozen=True)
class Deployment:
    """A stack that stands: its name, CloudFormation's word for its state, its parameters and its outputs.

    `untold` has a sentence for each parameter of which only CloudFormation's `?` is known, by its name.
    """

    stack: str
    state: str
    parameters: dict[str, str]
    outputs: dict[str, str]
    untold: Mapping[str, str] = field(default_factory=dict)

    def need_told(self, *, given: Iterable[str] = ()) -> None:
        """Raises `CommandError` when a parameter is untold that is not `given` anew: then no run's name is known."""
        for sentence in (sentence for name, sentence in self.untold.items() if name not in given):
            raise CommandError(sentence)

    @property
    def stands(self) -> bool:
        """Whether a deploy changes this stack. After a failed creation or deletion, it makes a new one.

        A stack with a bucket alone, from a first deploy that went no further, counts as none: the next deploy goes on.
        """
        return self.state not in NOT_STANDING and not self.is_bucket_alone

    @property
    def is_changing(self) -> bool:
        """Whether CloudFormation is at work on the stack, so that nobody else may change it."""
        return self.state.endswith("_IN_PROGRESS") and self.state != "REVIEW_IN_PROGRESS"

    @property
    def trouble(self) -> str | None:
        """What has happened to a stack that a failed operation left behind, and what is next; None where all is well.

        An operation that goes on is no failure, but nothing can be done meanwhile.
        """
        if self.state in TROUBLES:
            after = "deploys. Your images are kept."
            if not self.stands:
                after = (
                    "deploys a new stack, so give your parameters again. Your images are kept, unless you deployed "
                    "with keep_results=false."
                )
            return f"{self.stack} is {self.state}: {TROUBLES[self.state]}. `sd deploy` puts that right, then {after}"
        if self.is_changing:
            return f"{self.stack} is {self.state}: CloudFormation is at work. Look again in some minutes: `sd status`."
        if self.is_bucket_alone:
            return (
                f"{self.stack} has its results bucket alone, because a first deploy with files of this machine went no "
                "further. `sd deploy` makes the rest; give your parameters again."
            )
        return None

    @property
    def is_bucket_alone(self) -> bool:
        """Whether nothing of the stack stands but the results bucket."""
        return "ResultsBucket" in self.outputs and "InstanceId" not in self.outputs

    @property
    def bucket(self) -> str:
        """The results bucket. Raises `CommandError` while the stack has none."""
        return self._output("ResultsBucket")

    @property
    def instance_id(self) -> str:
        """The instance. Raises `CommandError` while the stack has none."""
        return self._output("InstanceId")

    def _output(self, name: str) -> str:
        if name not in self.outputs and self.trouble:
            raise CommandError(self.trouble)
        if name not in self.outputs:
            raise CommandError(
                f"The stack {self.stack} is in state {self.state} and has no output {name}. Deploy it again: "
                "`cdk deploy`; if that fails, look at its events: "
                f"`aws cloudformation describe-stack-events --stack-name {self.stack}`."
            )
        return self.outputs[name]


def find_deployment(session: boto3.Session, stack: str) -> Deployment | None:
    """The deployed stack of that name, or None. Raises `CommandError` when AWS cannot be asked."""
    with aws_errors_in_words(f"look for the stack {stack}"):
        try:
            client = session.client("cloudformation", config=RETRIES)
            described = client.describe_stacks(StackName=stack)["Stacks"][0]
        except botocore.exceptions.ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
    parameters = {p["ParameterKey"]: p.get("ParameterValue", "") for p in described.get("Parameters", [])}
    outputs = {o["OutputKey"]: o["OutputValue"] for o in described.get("Outputs", [])}
    told, untold = _true_parameters(session, stack, parameters, outputs.get("InstanceId"))
    return Deployment(stack, described["StackStatus"], {**parameters, **told}, outputs, untold)


def _true_parameters(
    session: boto3.Session, stack: str, described: Mapping[str, str], instance_id: str | None
) -> tuple[dict[str, str], dict[str, str]]:
    """The true values of the parameters with a `?`, and a sentence for each of which nothing tells the value.

    CloudFormation answers `?` for each character beyond ASCII. The instance was given the true ones. Rejected: outputs
    with `Fn::Base64`, because 1,000 characters of four bytes make 5,336 bytes, and an output holds 4,096.
    """
    doubtful = [name for name, value in described.items() if "?" in value]
    given: dict[str, str] = {}
    why = f"the instance {instance_id} was given another" if instance_id else "the stack has no instance"
    if doubtful and instance_id:
        try:
            with aws_errors_in_words(f"read the user data of the instance {instance_id}"):
                ec2: EC2Client = session.client("ec2", config=RETRIES)
                cloudformation = session.client("cloudformation", config=RETRIES)
                given = parameters_in(user_data_of(ec2, cloudformation, stack=stack, instance_id=instance_id))
        except CommandError as error:
            why = str(error).rstrip(".")
    told = {
        name: given[name] for name in doubtful if as_described(given.get(name, "")) == as_described(described[name])
    }
    untold = {
        name: f"{name} is {described[name]!r} by CloudFormation, which answers `?` for each character beyond ASCII. "
        f"The true one cannot be told ({why}), so the run's name cannot either. Give {name} again with `sd deploy`; "
        "`sd results --list` shows every run."
        for name in doubtful
        if name not in told
    }
    return told, untold


def is_deleted(found: Deployment | None) -> bool:
    """Whether the stack that was just looked for is gone, or going."""
    return found is None or found.state.startswith("DELETE_")


def find_standing(session: boto3.Session, stack: str) -> Deployment | None:
    """The deployed stack of that name that a deploy would change, or None. Raises `CommandError`."""
    deployment = find_deployment(session, stack)
    return deployment if deployment and deployment.stands else None


def bucket_of_deploy(deployment: Deployment | None, context: Mapping[str, str]) -> str | None:
    """The results bucket that a deploy over `deployment` with these settings has, None where it will make one."""
    if deployment and "output_bucket" not in context:
        return deployment.bucket
    return context.get("output_bucket") or None


def need_deployment(session: boto3.Session, stack: str) -> Deployment:
    """The deployed stack of that name. Raises `CommandError` when there is none."""
    deployment = find_deployment(session, stack)
    if deployment is None:
        raise CommandError(
            f"There is no stack {stack} in {session.region_name or 'this region'}. Deploy it: "
            '`cdk deploy --parameters Prompt="A horse standing under a tree"`, or name another: --stack, --region.'
        )
    return deployment


def deployed_settings(deployment: Deployment | None) -> dict[str, str]:
    """The settings (`-c`) of the deployment; none without a deployment.

    CDK keeps the parameters from one deploy to the next, but no settings: one left out would silently change back.
    """
    text = deployment.outputs.get("Settings", "{}") if deployment else "{}"
    return {str(name): str(value) for name, value in json.loads(text).items()}
