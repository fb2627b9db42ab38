from __future__ import annotations

import pytest

from scripts.local.watching.metric_math import Number, evaluate

QUEUED_AND_NOBODY = "IF(visible > 0 AND FILL(inservice, 0) == 0, 1, 0)"


@pytest.mark.parametrize(
    ("visible", "inservice", "result"),
    [(3.0, 0.0, 1.0), (3.0, None, 1.0), (3.0, 1.0, 0.0), (0.0, 0.0, 0.0), (None, 0.0, None)],
)
def test_what_an_alarm_over_a_queue_and_a_group_compares(visible: Number, inservice: Number, result: Number) -> None:
    assert evaluate(QUEUED_AND_NOBODY, {"visible": visible, "inservice": inservice}) == result


def test_sums_and_both_spellings_of_the_logical_operators() -> None:
    values = {"a": 1.0, "b": None, "c": 2.0}
    assert evaluate("FILL(a,0) + FILL(b,0) + c", values) == 3
    assert evaluate("a + b", values) is None
    assert evaluate("a > 1 || c >= 2", values) == evaluate("a > 1 OR c >= 2", values) == 1
    assert evaluate("a > 1 && c >= 2", values) == 0


@pytest.mark.parametrize("expression", ["SUM(METRICS())", "a > 1 > 0", "nobody + 1", "a / 2", "IF(a", "'x'"])
def test_what_is_not_emulated_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="does not emulate the expression"):
        evaluate(expression, {"a": 1.0})
