"""The local cloud's own clock, for alarms and schedules. It stands still until a test moves it."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError
from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends

from scripts.local.aws.account import Account
from scripts.local.aws.replaced import replaced
from scripts.local.watching.alarm_evaluation import Rule, alarm_state
from scripts.local.watching.metrics import Metrics
from scripts.local.watching.schedules import Schedules

log = logging.getLogger(__name__)

MINUTE = 60.0  # seconds
EC2_ACTION = re.compile(r"arn:aws:automate:[a-z0-9-]+:ec2:(?P<verb>stop|terminate|reboot)")
SCALING_POLICY = re.compile(r"arn:aws:autoscaling:[a-z0-9-]+:\d{12}:scalingPolicy:.*")
TOPIC = re.compile(r"arn:aws:sns:[a-z0-9-]+:\d{12}:[\w-]+")
# Does a scaling policy: its ARN, the alarm's name, and by how much the metric is beyond the threshold.
Scale = Callable[[str, str, float], None]


class AlarmClock:
    """Moves the time on, and does what CloudWatch, Scheduler and Auto Scaling would have done in that time.

    Every minute the services report, and each alarm is evaluated. An alarm acts when it goes off, once; Auto Scaling's
    policies hear of it every minute, as long as it lasts. The machines' own clocks are not moved. What has a date of
    its own (a one-time schedule, a scheduled action) comes when that date is reached, by itself or because the time
    was moved since it was made.

    An alarm that SetAlarmState sets off acts as well. On AWS it is evaluated again within seconds; here it stays as it
    was set until the time moves.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self.minute = 0
        self._moved = 0
        self._metrics = Metrics(account)
        self._schedules = Schedules(account, lambda: self.moved)
        self._beyond: dict[str, float] = {}
        self._looking = threading.Lock()
        self.dated: list[Callable[[], None]] = [self._schedules.run_due]
        self.scale: Scale = lambda policy, alarm, beyond: None

    @property
    def moved(self) -> timedelta:
        """How far the time was moved since the cloud began. What passes by itself does not count."""
        return timedelta(minutes=self._moved)

    def pass_time(self, *, hours: float = 0, minutes: float = 0) -> None:
        """Lets time pass, minute by minute. When this returns, every call of an alarm or schedule is made."""
        for _ in range(round(hours * 60 + minutes)):
            self._moved += 1
            self._next_minute()
            self.look()

    def look(self) -> None:
        """Does what has a date that has been reached meanwhile."""
        with self._looking:
            for run_due in self.dated:
                run_due()

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Lets a minute pass every minute while the context lasts, for people, who do not move the clock."""
        over = threading.Event()

        def follow() -> None:
            while not over.wait(MINUTE):
                try:
                    self._next_minute()
                except Exception:
                    log.exception("A minute of the clock failed.")

        thread = threading.Thread(target=follow, name="clock", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _next_minute(self) -> None:
        self.minute += 1
        self._metrics.report(self.minute)
        self._schedules.run(self.minute)
        self._evaluate_alarms()

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """Makes each alarm of the emulated CloudWatch act when its state changes to ALARM, while the context lasts."""
        set_state = self._around_set(CloudWatchBackend.set_alarm_state)
        with self._schedules.attached(), replaced({(CloudWatchBackend, "set_alarm_state"): set_state}):
            yield

    def _around_set(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def set_alarm_state(backend: Any, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
            alarm = backend.alarms.get(alarm_name)
            before = alarm.state_value if alarm else None
            original(backend, alarm_name, reason, reason_data, state_value)
            if state_value == "ALARM" != before:
                for action in alarm.alarm_actions:
                    self._act(action, alarm)

        return set_alarm_state

    def _evaluate_alarms(self) -> None:
        cloudwatch = self._account.client("cloudwatch")
        for alarm in list(cloudwatch_backends[self._account.id][self._account.region].alarms.values()):
            points = self._metrics.points(alarm, self.minute)
            latest = next((point for point in reversed(points) if point is not None), alarm.threshold)
            self._beyond[alarm.name] = latest - alarm.threshold
            state = alarm_state(_rule(alarm), points)
            if state != alarm.state_value:
                with contextlib.suppress(ClientError):  # its stack may delete it meanwhile
                    cloudwatch.set_alarm_state(AlarmName=alarm.name, StateValue=state, StateReason="evaluated")
            elif state == "ALARM":
                for action in filter(SCALING_POLICY.fullmatch, alarm.alarm_actions):
                    self._act(action, alarm)

    def _act(self, action: str, alarm: Any) -> None:
        """Does what an alarm is for. CloudWatch does not ask a second time either when it fails."""
        try:
            if match := EC2_ACTION.fullmatch(action):
                call = getattr(self._account.client("ec2"), f"{match['verb']}_instances")
                call(InstanceIds=[dimension.value for dimension in alarm.dimensions])
            elif SCALING_POLICY.fullmatch(action):
                self.scale(action, alarm.name, self._beyond.get(alarm.name, 0.0))
            elif TOPIC.fullmatch(action):
                self._account.client("sns").publish(TopicArn=action, Subject=f"ALARM: {alarm.name}", Message=alarm.name)
            else:
                log.warning("The alarm's action %s is not emulated.", action)
        except ClientError as error:
            log.warning("The alarm %s could not do %s: %s", alarm.name, action, error)


def _rule(alarm: Any) -> Rule:
    return Rule(
        comparison=alarm.comparison_operator,
        threshold=alarm.threshold,
        evaluation_periods=alarm.evaluation_periods,
        datapoints_to_alarm=alarm.datapoints_to_alarm or alarm.evaluation_periods,
        treat_missing_data=alarm.treat_missing_data or "missing",
    )
