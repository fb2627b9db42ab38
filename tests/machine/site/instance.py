"""One launched instance, as a test sees it: its state in EC2, its results in the bucket, its machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

from scripts.command_line.account.user_data import parameters_in
from scripts.local.local_cloud import LocalCloud
from tests.machine.booted.booted_machine import BootedMachine
from tests.machine.site.waiting import PATIENCE, wait_for
from userdata.contract.layout import RunKeys
from userdata.contract.work import write_message
from userdata.job.job import Job
from userdata.job.job_document import write_job

BOOT_LOG = "/var/log/sd-on-ec2/boot.log"
WORKER_LOG = "/var/log/sd-on-ec2/worker.log"


class Instance:
    """The instance of `stack`, once the stack is there."""

    def __init__(self, cloud: LocalCloud, stack: str) -> None:
        self._cloud = cloud
        self.stack = stack
        self._cloudformation = cloud.client("cloudformation")
        self._ec2 = cloud.client("ec2")
        self.s3 = cloud.client("s3")
        self.wait_for_stack()
        self.id = self.output("InstanceId")
        self.bucket = self.output("ResultsBucket")
        machine: Any = cloud.machines[self.id]
        self.machine: BootedMachine = machine

    def wait_for_stack(self) -> None:
        """Returns when CloudFormation is done with the stack."""

        def ended() -> str | None:
            status = str(self._described()["StackStatus"])
            return None if status.endswith("_IN_PROGRESS") else status

        status = wait_for(ended, f"the stack {self.stack}")
        assert status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), "\n".join(self._events())

    def output(self, name: str) -> str:
        """An output of the stack."""
        return str(next(one["OutputValue"] for one in self._described()["Outputs"] if one["OutputKey"] == name))

    def update(self, **parameters: str) -> None:
        """Updates the stack with other parameters, as a deploy does, and returns when that is done."""
        known = [one["ParameterKey"] for one in self._described()["Parameters"]]
        self._cloudformation.update_stack(
            StackName=self.stack,
            UsePreviousTemplate=True,
            Parameters=[
                {"ParameterKey": name, "ParameterValue": parameters[name]}
                if name in parameters
                else {"ParameterKey": name, "UsePreviousValue": True}
                for name in known
            ],
            Capabilities=["CAPABILITY_IAM"],
        )
        self.wait_for_stack()

    @property
    def run_id(self) -> str:
        """The name of the run that is deployed, by what the instance was given: CloudFormation answers `?` for much."""
        attribute = self._ec2.describe_instance_attribute(InstanceId=self.id, Attribute="userData")
        given = parameters_in(attribute["UserData"]["Value"])
        names = {str(field.alias) for field in Job.model_fields.values()}
        return Job.model_validate({name: value for name, value in given.items() if name in names}).name

    @property
    def state(self) -> str:
        """The state that EC2 tells."""
        described = self._ec2.describe_instances(InstanceIds=[self.id])
        return str(described["Reservations"][0]["Instances"][0]["State"]["Name"])

    def wait_for_state(self, state: str, *, seconds: float = PATIENCE) -> None:
        """Returns when EC2 tells this state."""
        wait_for(lambda: self.state == state, f"{self.id} to be {state}", seconds=seconds)

    def start(self) -> None:
        """Starts the stopped instance."""
        self._ec2.start_instances(InstanceIds=[self.id])
        wait_for(lambda: self.machine.pid, f"{self.id} to have its power on")

    def stop(self) -> None:
        """Stops the instance through EC2, and returns when it is stopped."""
        self._ec2.stop_instances(InstanceIds=[self.id])
        self.wait_for_state("stopped")

    def reboot(self) -> None:
        """Reboots the instance through EC2, and returns when its next boot has begun."""
        before = self.machine.pid
        self._ec2.reboot_instances(InstanceIds=[self.id])
        wait_for(lambda: self.machine.pid not in (None, before), f"{self.id} to boot again")

    def cut_power(self) -> None:
        """Ends the machine as a power cut does; EC2 then shows the instance as stopped."""
        self.machine.kill()
        self.stop()

    def worker(self) -> int:
        """The process id of the worker on the host, once there is one."""
        return self.process_of("userdata.worker")

    def process_of(self, module: str) -> int:
        """The process id on the host of the machine's process that runs `module`, once there is one."""
        return wait_for(lambda: self._find(module), f"the process of {module}")

    def kill_worker(self) -> None:
        """Kills the worker's process, as the kernel does when memory is short."""
        os.kill(self.worker(), signal.SIGKILL)

    def objects(self, prefix: str = "") -> dict[str, Any]:
        """What the bucket holds, by key."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return {entry["Key"]: entry for page in pages for entry in page.get("Contents", [])}

    def read(self, key: str) -> str:
        """The text of an object."""
        return self.read_bytes(key).decode()

    def read_bytes(self, key: str) -> bytes:
        """The bytes of an object."""
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def put(self, key: str, content: bytes) -> None:
        """Puts an object into the bucket where none is, as a person does."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content, IfNoneMatch="*")

    def put_job(self, job: Job) -> None:
        """Puts a run's job where it belongs, unless it is there."""
        with contextlib.suppress(self.s3.exceptions.ClientError):
            self.put(RunKeys(job.name).job, write_job(job))

    def send(self, job: Job) -> str:
        """Asks for a run by the queue, as `sd generate` does; returns the run's name."""
        self.put_job(job)
        self._cloud.client("sqs").send_message(
            QueueUrl=self.output("InteractiveQueue"), MessageBody=write_message(job.name)
        )
        return job.name

    def messages(self) -> int:
        """How many messages are in the queue, those that somebody has received included."""
        told = self._cloud.client("sqs").get_queue_attributes(
            QueueUrl=self.output("InteractiveQueue"), AttributeNames=["All"]
        )["Attributes"]
        return int(told["ApproximateNumberOfMessages"]) + int(told["ApproximateNumberOfMessagesNotVisible"])

    def status(self, run_id: str | None = None) -> dict[str, Any] | None:
        """The run's status.json, None while there is none."""
        key = f"runs/{run_id or self.run_id}/status.json"
        return dict(json.loads(self.read(key))) if key in self.objects(key) else None

    @property
    def phase(self) -> str | None:
        """The phase that the deployed run's status tells."""
        status = self.status()
        return str(status["phase"]) if status else None

    def boots(self) -> list[dict[str, Any]]:
        """The records of this instance's boots, the oldest first."""
        return [json.loads(self.read(key)) for key in sorted(self.objects(f"boots/{self.id}/")) if key.endswith("json")]

    def images(self, run_id: str | None = None) -> dict[str, Any]:
        """The run's images: file name and object."""
        found = self.objects(f"runs/{run_id or self.run_id}/")
        return {key.rsplit("/", 1)[1]: entry for key, entry in found.items() if "/samples/" in key and ".png" in key}

    def wait_for_line(self, text: str, *, file: str = BOOT_LOG, times: int = 1) -> None:
        """Returns when a log of the machine says `text`, at least so many times over all boots."""
        wait_for(lambda: self.machine.read(file).count(text) >= times, f"{text!r} in {file}")

    def story(self) -> str:
        """What a person needs to see of an instance that did not do what it should."""
        logs = ("/var/log/cloud-init-output.log", WORKER_LOG)
        told = [f"{self.id} is {self.state}", json.dumps(self.status(), indent=1), *sorted(self.objects())]
        return "\n".join([*told, *(f"--- {log}\n{self.machine.read(log)[-4000:]}" for log in logs)])

    def end(self) -> None:
        """Ends the instance and gives back what it needs on this host."""
        self.machine.kill()
        if self.state != "terminated":
            self._ec2.terminate_instances(InstanceIds=[self.id])
        self.wait_for_state("terminated")

    def _find(self, module: str) -> int | None:
        for pid in self.machine.processes():
            with contextlib.suppress(OSError):  # it has just ended
                if f"\0{module}\0".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        return None

    def _events(self) -> list[str]:
        events = self._cloudformation.describe_stack_events(StackName=self.stack)["StackEvents"]
        told = [event for event in events if event.get("ResourceStatusReason")]
        return [f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}" for event in told]

    def _described(self) -> dict[str, Any]:
        described: dict[str, Any] = self._cloudformation.describe_stacks(StackName=self.stack)["Stacks"][0]
        return described
