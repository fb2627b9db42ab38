from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo_model.training.pace import learning_rate, paced_steps


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time, in seconds, as the training sees it."""
    now = [0.0]
    monkeypatch.setattr("demo_model.training.pace.time.monotonic", lambda: now[0])
    yield now


def test_the_rate_rises_in_a_line_and_falls_to_a_hundredth_of_its_peak() -> None:
    rates = [rate for _, rate in paced_steps(steps=110, seconds=1e9, peak=1.0, warm_up=10)]
    assert len(rates) == 110
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[60] == pytest.approx(0.505)
    assert rates[-1] < 0.012
    assert learning_rate(1.0, 1.0) == pytest.approx(0.01)


def test_on_a_slow_machine_the_clock_ends_it_with_a_finished_rate(clock: list[float]) -> None:
    rates = []
    for _, rate in paced_steps(steps=1_000_000, seconds=100, peak=2.0, warm_up=0):
        rates.append(rate)
        clock[0] += 1.0
    assert len(rates) == 100
    assert rates[50] == pytest.approx(2 * 0.505)
    assert rates[-1] < 0.025


def test_the_warm_up_is_never_cut_short(clock: list[float]) -> None:
    steps = []
    for step, _ in paced_steps(steps=100, seconds=1, peak=1.0, warm_up=5):
        steps.append(step)
        clock[0] += 10
    assert steps == [0, 1, 2, 3, 4]
