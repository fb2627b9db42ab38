"""An alarm's state, by the cases of CloudWatch's own documentation for three evaluation periods."""

from __future__ import annotations

import dataclasses

import pytest

from scripts.local.watching.alarm_evaluation import Rule, alarm_state

THREE = Rule("GreaterThanOrEqualToThreshold", 1.0, 3, 3, "notBreaching")
POINTS = {"0": 0.0, "X": 1.0, "-": None}


@pytest.mark.parametrize(
    ("points", "not_breaching", "breaching"),
    [
        # The rows of its table "alarms and missing data", as far as these two treatments go.
        ("0-X-X", "OK", "OK"),
        ("0----", "OK", "OK"),
        ("-----", "OK", "ALARM"),
        ("0XX-X", "ALARM", "ALARM"),
        ("--XX-", "OK", "ALARM"),
        # What matters here: a machine that runs, one that ran until just now, and one that was off a while longer.
        ("XXXXX", "ALARM", "ALARM"),
        ("XXX--", "ALARM", "ALARM"),
        ("XX---", "OK", "ALARM"),
        ("X---X", "OK", "ALARM"),
    ],
)
def test_real_points_count_before_missing_ones_are_made_up(points: str, not_breaching: str, breaching: str) -> None:
    evaluated = [POINTS[point] for point in points]
    assert alarm_state(THREE, evaluated) == not_breaching
    assert alarm_state(dataclasses.replace(THREE, treat_missing_data="breaching"), evaluated) == breaching


def test_a_treatment_that_is_not_emulated_is_said_so() -> None:
    with pytest.raises(ValueError, match="TreatMissingData ignore is not emulated"):
        alarm_state(dataclasses.replace(THREE, treat_missing_data="ignore"), [None])
