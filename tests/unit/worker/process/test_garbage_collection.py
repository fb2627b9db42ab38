from __future__ import annotations

import gc

import pytest

from userdata.worker.process.garbage_collection import collector_at_rest


def test_the_collector_rests_and_works_again_afterwards_even_after_an_error() -> None:
    assert gc.isenabled()
    with pytest.raises(RuntimeError), collector_at_rest():
        assert not gc.isenabled()
        raise RuntimeError
    assert gc.isenabled()


def test_one_that_was_switched_off_before_stays_so() -> None:
    gc.disable()
    try:
        with collector_at_rest():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_works_again_once_the_last_who_wanted_it_at_rest_is_done() -> None:
    """The imports end on a thread of their own in the middle of what the main thread does."""
    imports, drawing = collector_at_rest(), collector_at_rest()
    imports.__enter__()
    drawing.__enter__()
    imports.__exit__(None, None, None)
    assert not gc.isenabled()
    drawing.__exit__(None, None, None)
    assert gc.isenabled()


def test_what_was_made_meanwhile_is_not_gone_through_later() -> None:
    try:
        with collector_at_rest():
            made: list[object] = [{}]
        assert not any(one is made for one in gc.get_objects())
    finally:
        gc.unfreeze()
