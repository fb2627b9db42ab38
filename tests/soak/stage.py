"""The stack that runs and batches are drawn on, as a person has it: deployed, started, stopped, torn down."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from botocore.exceptions import ClientError

from scripts.local.machines.machine import Machine
from tests.whole_way.conftest import QUICK, Person, wait_for

# Enough for the moment of a fault to matter, and little enough for many runs: about three seconds of one processor.
JOB = {"Prompt": "soak", "Steps": "8", "Height": "128", "Width": "128", "Iterations": "3", "Samples": "2"}
IMAGES = 6
FIRST = {**QUICK, "Iterations": "1", "Samples": "1", "Prompt": "soak"}
KEPT: dict[str, Any] = {"UsePreviousValue": True}
STACK = "SdOnEc2"
RESTING = ("stopped", "terminated")


class Stage:
    """The stack of `person`, deployed."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.cloud = person.cloud
        self.s3 = self.cloud.client("s3")
        self._ec2 = self.cloud.client("ec2")
        self._cloudformation = self.cloud.client("cloudformation")
        self.look()

    @classmethod
    def deployed(cls, person: Person) -> Stage:
        """The stack, deployed for it."""
        person.deploy(**FIRST)
        stage = cls(person)
        wait_for(stage.rests, "the first run to end")
        return stage

    def look(self) -> None:
        """Reads what the stack is. Every writing of an object is kept from now on, so that a second one is seen."""
        self.bucket, self.instance_id = self.person.output("ResultsBucket"), self.person.output("InstanceId")
        self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})

    def deploy_anew(self) -> None:
        """`cdk deploy`, and the end of the run that it begins."""
        self.person.deploy(**FIRST)
        self.look()
        wait_for(self.rests, "the first run to end")

    def deploy(self, **parameters: str) -> None:
        """Deploys other parameters, as `cdk deploy` does that finds no other change."""
        given = [
            {"ParameterKey": name, **({"ParameterValue": parameters[name]} if name in parameters else KEPT)}
            for name in self.parameters()
        ]
        self._cloudformation.update_stack(
            StackName=STACK, UsePreviousTemplate=True, Parameters=given, Capabilities=["CAPABILITY_IAM"]
        )
        wait_for(lambda: not self._described()["StackStatus"].endswith("IN_PROGRESS"), "the stack")

    def start(self) -> None:
        """Starts the instance, once it has stopped."""

        def started() -> bool:
            with contextlib.suppress(ClientError):
                self._ec2.start_instances(InstanceIds=[self.instance_id])
                return True
            return False

        wait_for(started, "the instance to be started")

    def stop(self) -> None:
        """Stops the instance."""
        self._ec2.stop_instances(InstanceIds=[self.instance_id])

    def reboot(self) -> None:
        """Restarts the instance's system."""
        self._ec2.reboot_instances(InstanceIds=[self.instance_id])

    def tear_down(self) -> None:
        """Deletes the stack, and returns when it is gone."""
        stack = self._described()["StackId"]
        self._cloudformation.delete_stack(StackName=STACK)

        def gone() -> bool:
            found = self._cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
            return bool(found == "DELETE_COMPLETE")

        wait_for(gone, "the stack to be gone")

    def sd(self, *words: str) -> str:
        """What `sd` prints."""
        finished = self.person.run(sys.executable, "-m", "scripts.command_line", *words)
        assert finished.returncode == 0, finished.stdout
        return finished.stdout

    def rests(self) -> bool:
        """Whether the instance costs nothing but its disk."""
        return self.state() in RESTING

    def state(self) -> str:
        """The instance's state, by EC2's name."""
        return str(self.person.instance()["State"]["Name"])

    def running(self) -> list[str]:
        """The instances of the account that cost money."""
        found = [one for entry in self._ec2.describe_instances()["Reservations"] for one in entry["Instances"]]
        return [one["InstanceId"] for one in found if one["State"]["Name"] not in RESTING]

    @property
    def machine(self) -> Machine:
        """The machine that stands for the instance."""
        return self.cloud.machines[self.instance_id]

    def parameters(self) -> dict[str, str]:
        """What is deployed."""
        return {one["ParameterKey"]: one.get("ParameterValue", "") for one in self._described()["Parameters"]}

    def _described(self) -> dict[str, Any]:
        described: dict[str, Any] = self._cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
        return described
