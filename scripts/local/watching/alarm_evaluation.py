"""How CloudWatch decides an alarm's state, by its documentation.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html: an alarm looks at more data
points than it evaluates; as many real ones as it needs, the latest, count, and only where there are fewer are missing
ones made up. How much further it looks is not published; in the one worked example it is 2 points more.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

EXTRA_POINTS = 2

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
MADE_UP = {"breaching": True, "notBreaching": False}


@dataclass(frozen=True)
class Rule:
    """What an alarm compares: `evaluation_periods` points, of which `datapoints_to_alarm` must breach the threshold."""

    comparison: str
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    treat_missing_data: str


def alarm_state(rule: Rule, points: Sequence[float | None]) -> str:
    """`ALARM` or `OK`, from the points of the evaluation range, the latest last, None for one that is missing.

    Raises `ValueError` for a treatment of missing data that is not emulated.
    """
    if rule.treat_missing_data not in MADE_UP:
        raise ValueError(f"TreatMissingData {rule.treat_missing_data} is not emulated; {', '.join(MADE_UP)} are")
    real = [COMPARISONS[rule.comparison](point, rule.threshold) for point in points if point is not None]
    evaluated = real[-rule.evaluation_periods :]
    breaching = sum(evaluated)
    if MADE_UP[rule.treat_missing_data]:
        breaching += rule.evaluation_periods - len(evaluated)
    return "ALARM" if breaching >= rule.datapoints_to_alarm else "OK"
