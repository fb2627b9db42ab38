"""How many machines are wanted: never more than the bounds allow, and as many as pay."""

from __future__ import annotations

import dataclasses
import math

from hypothesis import given
from hypothesis import strategies as st

from userdata.fleet.decision import (
    DEARER_BY,
    Offer,
    Way,
    Work,
    find_best,
    images_of_unit,
    machines_that_pay,
    wanted_now,
    way_of,
)

SPOT = Offer("g6.xlarge", "spot", 0.4, 7.0, 260.0, most=500, of_fleet=True)
OFFERS = st.builds(
    Offer,
    instance_type=st.sampled_from(["g6.xlarge", "g5.xlarge"]),
    market=st.sampled_from(["spot", "on-demand"]),
    usd_per_hour=st.floats(0.05, 40),
    image_seconds=st.floats(0.05, 200),
    boot_seconds=st.floats(0, 900),
    most=st.integers(0, 500),
)
WORKS = st.builds(
    Work,
    images=st.integers(1, 1_000_000),
    unit_images=st.integers(1, 64),
    idle_seconds=st.floats(0, 3600),
    max_usd=st.none() | st.floats(0.01, 5000),
    end_within=st.floats(3600, 86400),
)


def work(images: int, **bounds: float) -> Work:
    return Work(images=images, unit_images=8, idle_seconds=120, **{"max_usd": None, "end_within": 12 * 3600, **bounds})  # type: ignore[arg-type]


@given(st.lists(OFFERS, max_size=5), WORKS)
def test_no_way_leaves_its_bounds_and_the_best_comes_first(offers: list[Offer], asked: Work) -> None:
    ways = find_best(offers, asked)
    for way in ways:
        assert way.seconds is not None
        assert way.usd is not None
        assert 1 <= way.machines <= min(asked.units, way.offer.most)
        assert asked.max_usd is None or way.usd <= asked.max_usd * (1 + 1e-9) + 1e-9
    assert [way.chosen for way in ways] == [True, False, False, False, False][: len(ways)]
    in_time = [way.usd for way in ways if way.seconds is not None and way.seconds <= asked.end_within]
    assert not in_time or ways[0].usd == min(usd for usd in in_time if usd is not None)


@given(OFFERS, WORKS, st.integers(1, 400))
def test_a_further_machine_never_makes_it_slower_or_cheaper(offer: Offer, asked: Work, machines: int) -> None:
    less, more = way_of(offer, asked, machines), way_of(offer, asked, machines + 1)
    assert less.seconds is not None and more.seconds is not None and less.usd is not None and more.usd is not None
    assert more.seconds <= less.seconds
    assert more.usd >= less.usd


@given(OFFERS, WORKS, st.integers(1, 1_000_000))
def test_more_images_never_want_fewer_machines_and_a_longer_boot_never_more(
    offer: Offer, asked: Work, more: int
) -> None:
    asked = dataclasses.replace(asked, max_usd=None, end_within=1e12)
    wanted = machines_that_pay(offer, asked)
    assert machines_that_pay(offer, dataclasses.replace(asked, images=asked.images + more)) >= wanted
    assert machines_that_pay(dataclasses.replace(offer, boot_seconds=offer.boot_seconds + more), asked) <= wanted


@given(OFFERS, WORKS)
def test_several_machines_together_cost_little_more_than_one_unless_one_would_be_late(
    offer: Offer, asked: Work
) -> None:
    asked = dataclasses.replace(asked, max_usd=None, end_within=1e12)
    if wanted := machines_that_pay(offer, asked):
        one, several = way_of(offer, asked, 1), way_of(offer, asked, wanted)
        assert one.usd is not None and several.usd is not None
        assert several.usd <= one.usd * (1 + DEARER_BY) * (1 + 1e-9)


def test_the_rule_by_hand() -> None:
    # 1,000 images of 7 s are 7,000 s, beside 380 s for a boot and the idle time: 7,380 s, of which a tenth is 738 s.
    assert machines_that_pay(SPOT, work(1000)) == 1 + 738 // 380 == 2
    assert machines_that_pay(SPOT, work(1)) == 1
    # 100,000 images take 194 hours: within 12, of which the boot takes its part, 17 machines have to draw.
    assert machines_that_pay(SPOT, work(100_000)) == 1 + (70_0380 // 3800) == 185
    assert machines_that_pay(dataclasses.replace(SPOT, boot_seconds=40_000.0), work(1000)) == 3


def test_a_way_that_ends_in_time_is_better_than_a_cheaper_one_that_does_not_and_else_the_first_to_end() -> None:
    slow = dataclasses.replace(SPOT, usd_per_hour=0.1, image_seconds=70.0, most=1)
    dear = dataclasses.replace(SPOT, usd_per_hour=90_000.0)
    best, late = find_best([slow, dear], work(1000))
    assert (best.offer, best.ends_in_time, late.ends_in_time) == (dear, True, False)
    [first, _] = find_best([slow, dataclasses.replace(slow, usd_per_hour=90.0, image_seconds=60.0)], work(1000))
    assert (first.offer.image_seconds, first.ends_in_time) == (60.0, False)


def test_dollars_count_boots_and_idle_minutes_and_the_images_of_a_last_unit_alone() -> None:
    way = way_of(SPOT, work(17), 2)  # units of 8, 8 and 1 images
    assert way.usd is not None
    assert math.isclose(way.usd, (2 * 380 + 17 * 7) / 3600 * 0.4)
    assert way.seconds == 260 + 16 * 7


def test_without_a_figure_for_the_card_one_machine_is_taken_and_such_a_way_comes_last() -> None:
    unknown = dataclasses.replace(SPOT, image_seconds=None)
    best, other = find_best([unknown, dataclasses.replace(SPOT, usd_per_hour=40.0)], work(1000))
    assert (best.offer.usd_per_hour, other.machines, other.usd, other.hours) == (40.0, 1, None, None)


def test_a_unit_is_worth_about_a_minute_on_the_slowest_card() -> None:
    assert [images_of_unit(seconds) for seconds in (7.0, 0.1, 400.0, None)] == [9, 64, 1, 1]


@given(st.integers(1, 500), st.integers(0, 10_000), st.integers(0, 500))
def test_the_number_wanted_now_follows_the_units_and_ends_nobody(machines: int, left: int, there: int) -> None:
    way = Way(dataclasses.replace(SPOT, most=400), machines, 1.0, 1.0)
    wanted = wanted_now(way, left, there)
    assert wanted >= there
    assert wanted <= max(there, min(machines, left, 400))
