"""Batches are finished on one thread, in their order; the first failure is the one that is raised."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from userdata.worker.drawing.finishing import AHEAD, Finishing


class Batches:
    """Finishes numbers in the place of batches, once they are let in, and fails for those that are `broken`."""

    def __init__(self, *broken: int, let_in: bool = True) -> None:
        self.begun: list[int] = []
        self.one_has_begun = threading.Event()
        self.let_in = threading.Event()
        self._broken = broken
        self.finishing = Finishing(self._finish)
        if let_in:
            self.let_in.set()

    def _finish(self, batch: Any) -> None:
        self.begun.append(batch)
        self.one_has_begun.set()
        assert self.let_in.wait(10)
        if batch in self._broken:
            raise ValueError(f"batch {batch}")

    def hand_over(self, number: Any) -> None:
        self.finishing.hand_over(number)


def test_batches_are_finished_in_their_order() -> None:
    batches = Batches()
    for number in range(20):
        batches.hand_over(number)
    batches.finishing.close()
    assert batches.begun == list(range(20))


def test_a_batch_is_handed_over_only_while_few_are_unfinished() -> None:
    """Each would hold its pixels in memory."""
    batches = Batches(let_in=False)
    handed_over: list[int] = []
    some = threading.Event()

    def draw() -> None:
        for number in range(AHEAD + 1):
            batches.hand_over(number)
            handed_over.append(number)
            if len(handed_over) == AHEAD - 1:
                some.set()

    drawing = threading.Thread(target=draw, daemon=True)
    drawing.start()
    assert some.wait(10)
    assert batches.one_has_begun.wait(10)
    drawing.join(0.05)
    assert handed_over == list(range(AHEAD - 1))
    assert batches.begun == [0]
    batches.let_in.set()
    drawing.join(10)
    batches.finishing.close()
    assert batches.begun == list(range(AHEAD + 1))


def test_the_first_failure_is_raised_and_the_batches_after_it_are_not_finished() -> None:
    batches = Batches(1, 2)
    batches.hand_over(0)
    batches.hand_over(1)
    with pytest.raises(ValueError, match="batch 1"):
        batches.hand_over(2)
    batches.finishing.close()
    assert batches.begun == [0, 1]


def test_closing_raises_the_failure_of_the_last_batch() -> None:
    batches = Batches(0)
    batches.hand_over(0)
    with pytest.raises(ValueError, match="batch 0"):
        batches.finishing.close()
