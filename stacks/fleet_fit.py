"""Leaves types out of a fleet that the deployed model does not fit, and refuses a fleet without one that it fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

from aws_cdk import CfnCondition, CfnRule, CfnRuleAssertion, Fn, ICfnConditionExpression
from constructs import Construct

from stacks.facts.fleet_types import fitting_types
from stacks.facts.model_refusal import ENGINE_WORDS, memory_words, too_new_for_the_original
from stacks.facts.settings import Settings
from stacks.model_fit import second_pass_of_own_size, upscaled_in_its_own_size
from stacks.parameters import Parameters
from userdata.contract.catalogue import FULL, Model, read_catalogue
from userdata.contract.compvis import COMPVIS

PRECISIONS = ("autocast", FULL)


class Use(NamedTuple):
    """A model, how it is computed, and the pixels of its second pass, 0 without one."""

    model: Model
    precision: str
    second_pass_pixels: int


class FleetFit(Construct):
    """Conditions, because the model is a parameter and the fleet's types are a setting."""

    def __init__(self, scope: Construct, construct_id: str, settings: Settings, parameters: Parameters) -> None:
        super().__init__(scope, construct_id)
        self._types = settings.fleet_types
        self._parameters = parameters
        self._conditions: dict[tuple[str, ...], CfnCondition] = {}
        for use in self._left_out(self._types):
            words = memory_words(use.model, use.precision, use.second_pass_pixels)
            self._refuse(_name(use), self._is(use), f"No type of fleet_types fits. {words}")
        if set(self._types) & set(too_new_for_the_original()):
            self._refuse(COMPVIS, Fn.condition_equals(parameters.text("Engine"), COMPVIS), ENGINE_WORDS)

    def condition(self, instance_type: str) -> CfnCondition | None:
        """Whether the deployed model fits the type; None where every model does."""
        uses = list(self._left_out([instance_type]))
        if not uses:
            return None
        left_out = tuple(map(_name, uses))
        if left_out not in self._conditions:
            found = [self._is(use) for use in uses]
            any_of = Fn.condition_or(*found) if len(found) > 1 else found[0]
            construct_id = "Fits" + "".join(part.capitalize() for part in instance_type.replace(".", "-").split("-"))
            self._conditions[left_out] = CfnCondition(self, construct_id, expression=Fn.condition_not(any_of))
        return self._conditions[left_out]

    def _left_out(self, types: Sequence[str]) -> Iterator[Use]:
        """The uses that fit none of `types`; one with a second pass only where it fits without."""
        for model, precision in product(read_catalogue().values(), PRECISIONS):
            for pixels in dict.fromkeys((0, second_pass_of_own_size(model))):
                if not fitting_types(types, model, precision=precision, second_pass_pixels=pixels):
                    yield Use(model, precision, pixels)
                    break

    def _is(self, use: Use) -> ICfnConditionExpression:
        text = self._parameters.text
        return Fn.condition_and(
            Fn.condition_equals(text("Model"), use.model.name),
            Fn.condition_equals(text("Precision"), use.precision),
            *(upscaled_in_its_own_size(self._parameters) if use.second_pass_pixels else ()),
        )

    def _refuse(self, name: str, when: ICfnConditionExpression, words: str) -> None:
        construct_id = "No" + "".join(part.capitalize() for part in name.split("-"))
        CfnRule(
            self,
            construct_id,
            assertions=[CfnRuleAssertion(assert_=Fn.condition_not(when), assert_description=words)],
        )


def _name(use: Use) -> str:
    return f"{use.model.name}-{use.precision}{'-upscaled' if use.second_pass_pixels else ''}"
