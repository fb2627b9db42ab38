"""The deployment: the stack that stands, as CloudFormation describes it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import boto3
import botocore.exceptions
from botocore.config import Config

from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words

RETRIES = Config(retries={"mode": "standard", "max_attempts": 5})
CREATION_FAILED = ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")


@dataclass(frozen=True)
class Deployment:
    """A stack that stands: its name, CloudFormation's word for its state, its parameters and its outputs."""

    stack: str
    state: str
    parameters: dict[str, str]
    outputs: dict[str, str]

    @property
    def bucket(self) -> str:
        """The results bucket. Raises `CommandError` while the stack has none."""
        return self._output("ResultsBucket")

    @property
    def instance_id(self) -> str:
        """The instance. Raises `CommandError` while the stack has none."""
        return self._output("InstanceId")

    def _output(self, name: str) -> str:
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
    return Deployment(
        stack=stack,
        state=described["StackStatus"],
        parameters={p["ParameterKey"]: p.get("ParameterValue", "") for p in described.get("Parameters", [])},
        outputs={o["OutputKey"]: o["OutputValue"] for o in described.get("Outputs", [])},
    )


def find_standing(session: boto3.Session, stack: str) -> Deployment | None:
    """The deployed stack of that name, or None. After a failed creation, None too: `cdk deploy` removes that stack."""
    deployment = find_deployment(session, stack)
    return None if deployment and deployment.state in CREATION_FAILED else deployment


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
