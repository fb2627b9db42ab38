"""The patterns stand between a typing error and a bill."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks.integer_pattern import integer_pattern


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_it_matches_every_number_of_the_range_and_no_other(low: int, size: int) -> None:
    pattern = re.compile(integer_pattern(low, low + size))
    matched = [number for number in range(7000) if pattern.fullmatch(str(number))]
    assert matched == list(range(low, low + size + 1))


@given(st.integers(-(2**64), 2**64) | st.integers(-3, 3).flatmap(lambda n: st.sampled_from([n, 2**63 + n])))
def test_the_largest_seed_is_where_it_should_be(number: int) -> None:
    assert bool(re.fullmatch(integer_pattern(-1, 2**63 - 1), str(number))) == (-1 <= number < 2**63)


@pytest.mark.parametrize("text", ["", "-1", "+1", "01", "1.5", "1e2", " 1", "1 ", "1\n", "one", "٣", "-0", "-01"])
def test_it_matches_nothing_that_is_no_plain_number(text: str) -> None:
    assert not re.fullmatch(integer_pattern(0, 1000), text)


@pytest.mark.parametrize(("low", "high"), [(2, 1), (-10, 5)])
def test_an_impossible_range_is_an_error(low: int, high: int) -> None:
    with pytest.raises(ValueError, match="no range"):
        integer_pattern(low, high)
