"""What Auto Scaling does by itself: launches what a group lacks, ends what is too much, replaces what has failed."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError
from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import InstanceState, autoscaling_backends
from moto.core.exceptions import ServiceException
from moto.ec2.models import ec2_backends

from scripts.local.aws.account import Account
from scripts.local.scaling.activity import Activity, at
from scripts.local.scaling.launch import LaunchError, launch, on_demand_in, spot_share
from scripts.local.watching.alarm_clock import AlarmClock

log = logging.getLogger(__name__)

TICK = 0.2  # seconds between two looks at the instances; AWS looks about once a minute
RETRY = 2.0  # seconds until a launch that failed is tried again; AWS waits for minutes, and longer each time
STAYING = ("Pending", "InService")
CAPACITY = "in response to a difference between desired and actual capacity"


class Groups:
    """The groups of one account. A thread looks after them; `tend` does it once.

    `activities` are all that ever were, the latest last. Who reads or changes a group holds the `lock`. The thread
    looks at the `clock`, too, whose dates are reached by themselves.
    """

    def __init__(self, account: Account, clock: AlarmClock) -> None:
        self.account = account
        self.clock = clock
        self.lock = threading.RLock()
        self.activities: list[Activity] = []
        self._changed = threading.Event()
        self._closed = False

    @property
    def backend(self) -> Any:
        """Where moto keeps the groups."""
        return autoscaling_backends[self.account.id][self.account.region]

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Looks after the groups, in a thread, while the context lasts."""
        thread = threading.Thread(target=self._run, name="auto-scaling", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._closed = True
            self._changed.set()
            thread.join()

    def find(self, name: str) -> Any:
        """A group. Raises the service's error where there is none."""
        if name not in self.backend.autoscaling_groups:
            raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
        return self.backend.autoscaling_groups[name]

    def member(self, instance_id: str) -> tuple[Any, InstanceState]:
        """An instance's group, and its state there. Raises the service's error where there is none."""
        for group in self.backend.autoscaling_groups.values():
            for member in group.instance_states:
                if member.instance.id == instance_id:
                    return group, member
        raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")

    def limit(self, group: Any, sizes: dict[str, int | None], cause: str) -> None:
        """Gives a group the sizes that are not None, under the API's names. Raises the service's error for bad ones."""
        given = {name: size for name, size in sizes.items() if size is not None}
        least, most = given.get("MinSize", group.min_size), given.get("MaxSize", group.max_size)
        if least > most:
            raise ValidationError(f"Max bound, {most}, must be greater than or equal to min bound, {least}")
        desired = given.get("DesiredCapacity", max(least, min(most, group.desired_capacity)))
        if not least <= desired <= most:
            raise ValidationError(
                f"Desired capacity:{desired} must be between the specified min size:{least} and max size:{most}"
            )
        group.min_size, group.max_size = least, most
        bounds = f"AutoScalingGroup constraints to min: {least}, max: {most}, desired: {desired}"
        self.resize(group, desired, f"{cause} {bounds}")

    def resize(self, group: Any, capacity: int, cause: str) -> None:
        """Gives a group another desired capacity, which the thread brings about. `cause` says who wants it."""
        if capacity != group.desired_capacity:
            change = f"changing the desired capacity from {group.desired_capacity} to {capacity}"
            group.resized = f"At {at()} {cause} {change}.  "
            group.desired_capacity = capacity
        self.wake(group)

    def wake(self, group: Any) -> None:
        """Has the thread look at a group now, and try again what failed."""
        group.retry_at = 0.0
        self._changed.set()

    def end(self, group: Any, member: InstanceState, cause: str) -> Activity:
        """Terminates an instance of a group."""
        described = f"Terminating EC2 instance: {member.instance.id}"
        member.lifecycle_state, member.instance.target_lifecycle_state = "Terminating", "Terminated"
        member.activity = self.note(group, described, cause, member.instance)
        ec2_backends[self.account.id][self.account.region].terminate_instances([member.instance.id])
        self._changed.set()
        activity: Activity = member.activity
        return activity

    def note(self, group: Any, description: str, cause: str, instance: Any = None) -> Activity:
        """Begins an activity."""
        place = {"Subnet ID": instance.subnet_id, "Availability Zone": instance.placement.zone} if instance else {}
        activity = Activity(group.name, group.arn, description, cause, place)
        self.activities.append(activity)
        return activity

    def tend(self) -> None:
        """Looks after each group once."""
        with self.lock:
            for group in list(self.backend.autoscaling_groups.values()):
                for member in list(group.instance_states):
                    self._follow(group, member)
                self._match(group)

    def _run(self) -> None:
        while not self._closed:
            self._changed.wait(TICK)
            self._changed.clear()
            try:
                if not self._closed:
                    self.clock.look()
                    self.tend()
            except Exception:
                log.exception("Auto Scaling failed.")

    def _follow(self, group: Any, member: InstanceState) -> None:
        """Takes note of what has become of an instance, and replaces one that is no longer healthy."""
        state = member.instance.state
        if member.lifecycle_state == "Terminating":
            if state == "terminated":
                group.instance_states.remove(member)
                member.activity.succeed()
        elif member.lifecycle_state == "Pending" and state == "running":
            member.lifecycle_state = "InService"
            member.activity.succeed()
        elif state not in ("pending", "running"):
            member.health_status = "Unhealthy"
            if member.lifecycle_state == "Pending":
                reason = getattr(member.instance.state_reason, "message", None) or f"The instance is {state}"
                member.activity.fail(
                    "Instance became unhealthy while waiting for instance to be in InService state. "
                    f"Termination Reason: {reason}"
                )
                group.retry_at = time.monotonic() + RETRY
            check = "an EC2 health check indicating it has been terminated or stopped"
            self.end(group, member, f"At {at()} an instance was taken out of service in response to {check}.")
        elif member.health_status == "Unhealthy":
            check = "a user health-check"
            self.end(group, member, f"At {at()} an instance was taken out of service in response to {check}.")

    def _match(self, group: Any) -> None:
        """Launches what is missing, and ends what is too much."""
        staying = [one for one in group.instance_states if one.lifecycle_state in STAYING]
        missing = group.desired_capacity - len(staying)
        if not missing:
            group.resized = ""
            missing = self._missing_of_a_market(group, staying)
        while missing > 0 and time.monotonic() >= group.retry_at and self._launch(group, staying):
            missing -= 1
        # What is launched in the place of another is in service before the other goes.
        if not group.remixing or all(one.lifecycle_state == "InService" for one in staying):
            self._end_surplus(group, staying)

    def _missing_of_a_market(self, group: Any, staying: list[InstanceState]) -> int:
        """1 while an update of the on-demand share has left machines of the wrong market, which AWS replaces gradually.

        Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/
        aws-properties-autoscaling-autoscalinggroup-instancesdistribution.html
        """
        group.remixing = group.remixing and _spot_in(staying) != spot_share(group, group.desired_capacity)
        return int(group.remixing)

    def _end_surplus(self, group: Any, staying: list[InstanceState]) -> None:
        """Ends what is too much, of the market that has too many, the oldest first."""
        while len(staying) > group.desired_capacity:
            too_much = "spot" if _spot_in(staying) > spot_share(group, group.desired_capacity) else None
            member = next((one for one in staying if one.instance.lifecycle == too_much), staying[0])
            staying.remove(member)
            shrinking = f"shrinking the capacity from {len(staying) + 1} to {len(staying)}"
            chosen = f"At {at()} instance {member.instance.id} was selected for termination."
            taken = f"At {at()} an instance was taken out of service {CAPACITY}, {shrinking}.  {chosen}"
            self.end(group, member, group.resized + taken)

    def _launch(self, group: Any, staying: list[InstanceState]) -> bool:
        growing = f"increasing the capacity from {len(staying)} to {group.desired_capacity}"
        cause = f"{group.resized}At {at()} an instance was started {CAPACITY}, {growing}."
        try:
            instance = launch(self.account, group, [one.instance for one in staying])
        except (ClientError, LaunchError, ServiceException, ValueError) as error:
            self.note(group, "Launching a new EC2 instance", cause).fail(str(error))
            group.retry_at = time.monotonic() + RETRY
            return False
        member = InstanceState(instance, lifecycle_state="Pending", autoscaling_group=group)
        member.activity = self.note(group, f"Launching a new EC2 instance: {instance.id}", cause, instance)
        group.instance_states.append(member)
        staying.append(member)
        return True


def _spot_in(members: list[InstanceState]) -> int:
    return len(members) - on_demand_in([one.instance for one in members])
