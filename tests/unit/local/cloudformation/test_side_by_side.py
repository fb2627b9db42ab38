from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from scripts.local.cloudformation.side_by_side import side_by_side

AFTER = {"b": {"a"}, "c": {"b"}, "long c": {"b"}}


def run(names: list[str], work: Callable[[str], None], *, goes_on: bool = False) -> None:
    side_by_side(names, AFTER, work, takes_long=lambda name: name.startswith("long"), goes_on=goes_on)


def test_each_comes_after_what_it_waits_for() -> None:
    done: list[str] = []
    run(["c", "b", "a", "long c", "d"], done.append)
    assert sorted(done) == ["a", "b", "c", "d", "long c"]
    assert done.index("a") < done.index("b") < min(done.index("c"), done.index("long c"))


def test_what_takes_long_is_not_waited_for() -> None:
    short_ones_are_done = threading.Event()
    done: list[str] = []

    def work(name: str) -> None:
        if name == "long":
            assert short_ones_are_done.wait(10)
        done.append(name)
        if name == "b":
            short_ones_are_done.set()

    run(["long", "a", "b"], work)
    assert done == ["a", "b", "long"]


@pytest.mark.parametrize(("goes_on", "expected"), [(False, ["d"]), (True, ["d", "e"])])
def test_after_a_failure_nothing_begins_that_waits_for_it(goes_on: bool, expected: list[str]) -> None:
    done: list[str] = []

    def work(name: str) -> None:
        if name == "a":
            raise ValueError("no a")
        done.append(name)

    with pytest.raises(ValueError, match="no a"):
        run(["d", "a", "b", "c", "long c", "e"], work, goes_on=goes_on)
    assert done == expected


def test_what_runs_at_a_failure_is_waited_for() -> None:
    failed = threading.Event()
    done: list[str] = []

    def work(name: str) -> None:
        if name == "a":
            failed.set()
            raise ValueError("no a")
        assert failed.wait(10)
        done.append(name)

    with pytest.raises(ValueError, match="no a"):
        run(["long", "a"], work)
    assert done == ["long"]
