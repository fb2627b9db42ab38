"""A deployed fleet, as a test sees it: its group, its machines, its results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.local.local_cloud import LocalCloud
from tests.machine.site.instance import Instance
from tests.machine.site.waiting import wait_for
from userdata.contract.work import write_message
from userdata.job.job import Job

MOST = 3


class Fleet:
    """The fleet of the stack of `instance`, which is never switched on itself."""

    def __init__(self, cloud: LocalCloud, instance: Instance) -> None:
        self._cloud = cloud
        self._client = cloud.client("autoscaling")
        self.instance = instance
        self.name = instance.output("Fleet")

    def want(self, machines: int) -> None:
        """Sizes the group, as the commands do."""
        self._client.update_auto_scaling_group(
            AutoScalingGroupName=self.name, MinSize=0, MaxSize=MOST, DesiredCapacity=machines
        )

    def plan_to_end(self, at: Any) -> None:
        """Sets the guard outside, as the commands do: a scheduled action to zero."""
        self._client.put_scheduled_update_group_action(
            AutoScalingGroupName=self.name, ScheduledActionName="guard", StartTime=at,
            MinSize=0, MaxSize=0, DesiredCapacity=0,
        )  # fmt: skip

    def described(self) -> dict[str, Any]:
        """What Auto Scaling tells of the group."""
        found: dict[str, Any] = self._client.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
        group: dict[str, Any] = found["AutoScalingGroups"][0]
        return group

    def machines(self) -> list[str]:
        """The ids of the group's instances, those included that are ending."""
        return [one["InstanceId"] for one in self.described()["Instances"]]

    def another(self, *but: str) -> str:
        """The id of a machine whose power is on and that is none of `but`, once there is one."""

        def found() -> str | None:
            on = [one for one in self.machines() if one not in but and one in self._cloud.machines]
            return next((one for one in on if self.machine(one).pid), None)

        return wait_for(found, f"a machine that is none of {but}")

    def machine(self, instance_id: str) -> Any:
        """The machine of one of the group's instances."""
        return self._cloud.machines[instance_id]

    def wait_until_empty(self) -> None:
        """Returns when no machine is wanted and none is there."""
        self._wait(lambda: not self.described()["DesiredCapacity"] and not self.machines(), "the fleet to be empty")

    def launches(self) -> int:
        """How many machines the group has ever had of EC2."""
        told = self._client.describe_scaling_activities(AutoScalingGroupName=self.name)["Activities"]
        return sum(one["Description"].startswith("Launching a new EC2 instance: ") for one in told)

    def send(self, **given: Any) -> str:
        """Asks for a run by the queue of batches; returns the run's name."""
        job = Job(**{"model": "tiny", "H": 64, "W": 64, "ddim_steps": 2, "n_iter": 1, "n_samples": 1, **given})
        self.instance.put_job(job)
        url = self.instance.output("BatchQueue")
        self._cloud.client("sqs").send_message(QueueUrl=url, MessageBody=write_message(job.name))
        return job.name

    def wait_for_run(self, run_id: str) -> None:
        """Returns when the run is done."""
        self._wait(lambda: (self.instance.status(run_id) or {}).get("phase") == "done", f"the run {run_id}")

    def end(self) -> None:
        """Ends every machine."""
        self._client.update_auto_scaling_group(AutoScalingGroupName=self.name, MinSize=0, MaxSize=0, DesiredCapacity=0)
        for one in self.machines():
            if one in self._cloud.machines:
                self.machine(one).kill()
        self.wait_until_empty()

    def story(self) -> str:
        """What a person needs to see of a fleet that did not do what it should."""
        logs = [
            f"--- {one}\n{self.machine(one).console[-3000:]}" for one in self.machines() if one in self._cloud.machines
        ]
        return "\n".join([str(self.described()), *sorted(self.instance.objects()), *logs])

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        wait_for(condition, what)
