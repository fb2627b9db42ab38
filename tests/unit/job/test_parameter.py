from __future__ import annotations

import pytest
from pydantic import BaseModel

from stacks.facts.machine_parameters import MachineParameters
from userdata.job.choices import Switch
from userdata.job.job import Job
from userdata.job.parameter import parameter, rule_of


class Oven(BaseModel):
    heat: int = parameter(180, name="Heat", description="", note=", in degrees", ge=50, le=250)
    hours: float = parameter(0, name="Hours", description="", example=1.5, ge=0.25, le=4)
    light: Switch = parameter("off", name="Light", description="")
    dish: str = parameter("", name="Dish", description="", rule="a dish, for example a pie")


@pytest.mark.parametrize(
    ("field", "rule"),
    [
        ("heat", "a whole number from 50 to 250, for example 180, in degrees"),
        ("hours", "a number from 0.25 to 4, for example 1.5"),
        ("light", "one of on, off"),
        ("dish", "a dish, for example a pie"),
    ],
)
def test_the_rule_says_what_the_constraints_check(field: str, rule: str) -> None:
    assert rule_of(Oven.model_fields[field]) == rule


@pytest.mark.parametrize(
    ("model", "field", "rule"),
    [
        (Job, "W", "a whole number from 64 to 2048, for example 512; it is rounded down to a multiple of 8"),
        (Job, "seed", "a whole number from -1 to 9223372036854775807, for example 42; -1 draws one"),
        (Job, "strength", "a number from 0.01 to 1, for example 0.75"),
        (Job, "precision", "one of autocast, full"),
        (MachineParameters, "volume_size", "a whole number from 80 to 16384, for example 100"),
        (MachineParameters, "max_spend", "a number from 0 to 10000, for example 2.5"),
    ],
)
def test_people_read_the_rule_with_an_example_that_is_right(model: type[BaseModel], field: str, rule: str) -> None:
    assert rule_of(model.model_fields[field]) == rule
    example = rule.partition("for example ")[2].partition(";")[0]
    if example:
        model.model_validate({str(model.model_fields[field].alias): example})
