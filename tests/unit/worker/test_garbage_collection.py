from __future__ import annotations

import gc

import pytest

from userdata.worker.garbage_collection import collector_at_rest


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
