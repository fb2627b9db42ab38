"""The steps are data: they must name only what there is, and cost less than a dollar."""

from __future__ import annotations

import dataclasses

import pytest

from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.parameter_options import check_parameters
from scripts.proof.estimate import LIMIT, estimate, refuse_what_is_dear
from scripts.proof.place import STACK, Place, cheapest_types, hourly
from scripts.proof.step import Step
from scripts.proof.steps import STEPS
from stacks.facts.settings import settings_from_context
from userdata.bill.prices import read_prices

PLACE = Place("us-east-1", "g4dn.xlarge", "g6.xlarge", None, "us-east-1b")


@pytest.mark.parametrize("step", [step for step in STEPS if step.is_deploy], ids=lambda step: step.name)
def test_a_deploy_has_parameters_and_settings_that_the_stack_takes(step: Step) -> None:
    words = step.typed(PLACE)
    assert words[:2] == ["cdk", "deploy"]
    given = [words[at + 1].split("=", 1) for at, word in enumerate(words) if word == "--parameters"]
    check_parameters(dict(given))
    context = [words[at + 1].split("=", 1) for at, word in enumerate(words) if word == "-c"]
    assert settings_from_context(dict(context)).stack == STACK


def test_every_step_stands_behind_those_that_it_needs() -> None:
    names = [step.name for step in STEPS]
    assert len(set(names)) == len(names)
    assert all(names.index(needed) < at for at, step in enumerate(STEPS) for needed in step.needs)
    assert STEPS[0].is_first
    assert not any(step.is_first for step in STEPS[1:])


def test_what_a_row_expects_can_be_filled_in() -> None:
    for row in (row for step in STEPS for row in step.rows):
        for text in (row.what, row.note, row.expected or ""):
            assert "{" not in text.format_map(PLACE.words())


def test_a_place_without_another_type_cannot_take_that_step() -> None:
    (step,) = [step for step in STEPS if step.name == "another type"]
    with pytest.raises(KeyError, match="other_type"):
        step.typed(dataclasses.replace(PLACE, other_type=None))


def test_the_estimate_follows_the_table_of_prices() -> None:
    minutes, usd = estimate(PLACE, STEPS)
    dear = dataclasses.replace(PLACE, type="g6e.xlarge", other_type="g6e.xlarge")
    cheap = dataclasses.replace(PLACE, other_type="g4dn.xlarge")
    assert usd < LIMIT
    assert 30 < minutes < 150
    ratio = estimate(dear, STEPS)[1] / estimate(cheap, STEPS)[1]
    assert ratio == pytest.approx((hourly("us-east-1", "g6e.xlarge") or 0) / (hourly("us-east-1", "g4dn.xlarge") or 1))


def test_a_walk_above_a_dollar_is_refused() -> None:
    refuse_what_is_dear(PLACE, LIMIT)
    with pytest.raises(CommandError, match=r"In us-east-1 the proof would cost about \$1.01, more than \$1.00"):
        refuse_what_is_dear(PLACE, 1.01)


def test_four_regions_in_five_have_a_place_below_a_dollar() -> None:
    regions = {region for capture in read_prices().on_demand for region in capture.usd_per_hour}
    usd = {
        region: estimate(Place(region, types[0], types[-1], None, None), STEPS)[1]
        for region, types in ((region, cheapest_types(region)[:2]) for region in regions)
        if types
    }
    assert len([one for one in usd.values() if one < LIMIT]) > 0.8 * len(usd), usd
