"""What the services report to CloudWatch, minute by minute, as far as the product's alarms look at it.

Sources: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/monitoring-using-cloudwatch.html (a
queue reports while it is active, up to six hours after its last activity, and first up to 15 minutes after it became
so) and https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-metrics.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.ec2.models import ec2_backends
from moto.sqs.models import sqs_backends

from scripts.local.aws.account import Account
from scripts.local.watching.alarm_evaluation import EXTRA_POINTS
from scripts.local.watching.metric_math import Number, evaluate

CPU_EVERY = 5  # minutes; EC2 without detailed monitoring
ACTIVE = 360  # minutes that a queue stays active
WAKES = 15  # minutes until a queue that became active reports: the most that SQS takes
STATISTICS: dict[str, Callable[[Iterable[float]], float]] = {
    "Average": lambda values: fmean(values),
    "Maximum": max,
    "Minimum": min,
    "Sum": sum,
}
IN_SERVICE, DESIRED = "GroupInServiceInstances", "GroupDesiredCapacity"
# Namespace and metric, and the one dimension.
EMULATED = {
    ("AWS/AutoScaling", DESIRED): "AutoScalingGroupName",
    ("AWS/AutoScaling", IN_SERVICE): "AutoScalingGroupName",
    ("AWS/EC2", "CPUUtilization"): "InstanceId",
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): "QueueName",
}
Key = tuple[str, str, str]  # namespace, metric, the dimension's value


def check_emulated(alarm: dict[str, Any]) -> None:
    """Raises `ValueError` for an alarm, as PutMetricAlarm takes it, over anything that is not reported here."""
    stats = [one["MetricStat"] for one in alarm.get("Metrics", []) if "MetricStat" in one]
    for metric in [one["Metric"] for one in stats] or [alarm]:
        named = metric.get("Namespace"), metric.get("MetricName")
        dimensions = [one["Name"] for one in metric.get("Dimensions", [])]
        if dimensions != [EMULATED.get(named)]:
            raise ValueError(f"The local cloud does not emulate the metric {named[1]} of {named[0]} by {dimensions}")


class Metrics:
    """What was reported, by minute of the local cloud's clock."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._reported: defaultdict[Key, dict[int, float]] = defaultdict(dict)
        self._active: dict[str, tuple[int, int]] = {}  # each queue's first and last active minute

    def report(self, minute: int) -> None:
        """Takes down what the services report in this minute."""
        here = self._account.id, self._account.region
        if minute % CPU_EVERY == 0:
            for instance in ec2_backends[here[0]][here[1]].all_instances():
                if instance.state == "running":
                    self._reported["AWS/EC2", "CPUUtilization", instance.id][minute] = 0.0
        for group in list(autoscaling_backends[here[0]][here[1]].autoscaling_groups.values()):
            counted = {IN_SERVICE: len(group.active_instances()), DESIRED: group.desired_capacity}
            for name in counted.keys() & set(group.metrics):
                self._reported["AWS/AutoScaling", name, group.name][minute] = float(counted[name])
        for queue in list(sqs_backends[here[0]][here[1]].queues.values()):
            self._report_queue(queue, minute)

    def _report_queue(self, queue: Any, minute: int) -> None:
        visible, hidden = queue.approximate_number_of_messages, queue.approximate_number_of_messages_not_visible
        first, last = self._active.get(queue.name, (minute, -ACTIVE))
        if minute - last > ACTIVE:
            first = minute
        if visible or hidden:
            last = minute
        self._active[queue.name] = first, last
        if minute - last <= ACTIVE and minute - first >= WAKES:
            self._reported["AWS/SQS", "ApproximateNumberOfMessagesVisible", queue.name][minute] = float(visible)

    def points(self, alarm: Any, minute: int) -> list[Number]:
        """The alarm's evaluation range, the latest point last; None for one that is missing."""
        queries = alarm.metric_data_queries
        period = int(alarm.period or next(one.metric_stat.period for one in queries if one.metric_stat)) // 60
        ends = [minute - period * back for back in reversed(range(alarm.evaluation_periods + EXTRA_POINTS))]
        spans = [range(end - period + 1, end + 1) for end in ends]
        if not queries:
            return [self._point(alarm, alarm.statistic, span) for span in spans]
        return [self._calculated(queries, span) for span in spans]

    def _calculated(self, queries: list[Any], span: range) -> Number:
        """The one result of an alarm's metrics that it compares; its expressions are made of its metrics."""
        stats = {one.id: one.metric_stat for one in queries if one.metric_stat}
        values = {name: self._point(stat.metric, stat.stat, span) for name, stat in stats.items()}
        for one in queries:
            if one.expression:
                values[one.id] = evaluate(one.expression, values)
        (result,) = [values[one.id] for one in queries if one.return_data is not False]
        return result

    def _point(self, metric: Any, statistic: str, span: range) -> Number:
        (dimension,) = metric.dimensions
        reported = self._reported[metric.namespace, metric.metric_name, dimension.value]
        found = [reported[minute] for minute in span if minute in reported]
        return float(STATISTICS[statistic](found)) if found else None
