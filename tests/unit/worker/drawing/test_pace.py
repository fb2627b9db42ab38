from __future__ import annotations

import pytest

from userdata.worker.drawing.pace import Pace


def test_the_rest_takes_as_long_as_the_images_so_far() -> None:
    now = [100.0]
    pace = Pace(10, clock=lambda: now[0])
    now[0] += 8
    assert pace.remaining_seconds(4) == pytest.approx(12)
    now[0] += 1
    assert pace.remaining_seconds(4.5) == pytest.approx(11)


def test_an_estimate_is_never_negative() -> None:
    now = [0.0]
    pace = Pace(3, clock=lambda: now[0])
    now[0] = 6
    assert pace.remaining_seconds(3) == 0
    # The engine of the original scripts may have drawn more than its count says.
    assert pace.remaining_seconds(3.5) == 0
