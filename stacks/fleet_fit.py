"""Leaves types out of a fleet that the deployed model does not fit, and refuses a fleet without one that it fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from aws_cdk import CfnCondition, CfnRule, CfnRuleAssertion, Fn, ICfnConditionExpression
from constructs import Construct

from stacks.facts.fleet_types import fitting_types
from stacks.facts.model_refusal import ENGINE_WORDS, memory_words, too_new_for_the_original
from stacks.facts.settings import Settings
from stacks.parameters import Parameters
from userdata.contract.catalogue import FULL, read_catalogue
from userdata.contract.compvis import COMPVIS

PRECISIONS = ("autocast", FULL)


class FleetFit(Construct):
    """Conditions, because the model is a parameter and the fleet's types are a setting."""

    def __init__(self, scope: Construct, construct_id: str, settings: Settings, parameters: Parameters) -> None:
        super().__init__(scope, construct_id)
        self._types = settings.fleet_types
        self._parameters = parameters
        self._conditions: dict[tuple[tuple[str, str], ...], CfnCondition] = {}
        models = read_catalogue()
        for name, precision in self._left_out(self._types):
            words = memory_words(models[name], precision)
            self._refuse(f"{name}-{precision}", self._is(name, precision), f"No type of fleet_types fits. {words}")
        if set(self._types) & set(too_new_for_the_original()):
            self._refuse(COMPVIS, Fn.condition_equals(parameters.text("Engine"), COMPVIS), ENGINE_WORDS)

    def condition(self, instance_type: str) -> CfnCondition | None:
        """Whether the deployed model fits the type; None where every model does."""
        left_out = tuple(self._left_out([instance_type]))
        if not left_out:
            return None
        if left_out not in self._conditions:
            found = [self._is(name, precision) for name, precision in left_out]
            any_of = Fn.condition_or(*found) if len(found) > 1 else found[0]
            construct_id = "Fits" + "".join(part.capitalize() for part in instance_type.replace(".", "-").split("-"))
            self._conditions[left_out] = CfnCondition(self, construct_id, expression=Fn.condition_not(any_of))
        return self._conditions[left_out]

    def _left_out(self, types: Sequence[str]) -> Iterator[tuple[str, str]]:
        """The models, each with the precision, that fit none of `types`."""
        for (name, model), precision in product(read_catalogue().items(), PRECISIONS):
            if not fitting_types(types, model, precision=precision):
                yield name, precision

    def _is(self, model: str, precision: str) -> ICfnConditionExpression:
        text = self._parameters.text
        return Fn.condition_and(
            Fn.condition_equals(text("Model"), model), Fn.condition_equals(text("Precision"), precision)
        )

    def _refuse(self, name: str, when: ICfnConditionExpression, words: str) -> None:
        construct_id = "No" + "".join(part.capitalize() for part in name.split("-"))
        CfnRule(
            self,
            construct_id,
            assertions=[CfnRuleAssertion(assert_=Fn.condition_not(when), assert_description=words)],
        )
