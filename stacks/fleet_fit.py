"""Leaves types out of a fleet that the deployed model does not fit, and refuses a fleet without one that it fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aws_cdk import CfnCondition, CfnRule, CfnRuleAssertion, Fn, ICfnConditionExpression
from constructs import Construct

from stacks.facts.fleet_types import fitting_types
from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.model_refusal import ENGINE_WORDS, Ways, too_new_for_the_original
from stacks.facts.settings import Settings
from stacks.parameters import Parameters
from stacks.ways_chosen import is_chosen, ways_for
from userdata.contract.catalogue import Model, read_catalogue
from userdata.contract.compvis import COMPVIS


class FleetFit(Construct):
    """Conditions, because the model is a parameter and the fleet's types are a setting."""

    def __init__(self, scope: Construct, construct_id: str, settings: Settings, parameters: Parameters) -> None:
        super().__init__(scope, construct_id)
        self._types = settings.fleet_types
        self._parameters = parameters
        self._conditions: dict[tuple[tuple[str, Ways], ...], CfnCondition] = {}
        known = [INSTANCE_TYPES[name] for name in self._types if name in INSTANCE_TYPES]
        for number, (model, ways) in enumerate(self._left_out(self._types)):
            words = next(filter(None, (ways.why_not(model, one.gpu) for one in known)))
            self._refuse(f"{model.name}-{number}", self._is(model, ways), f"No type of fleet_types fits. {words}")
        if set(self._types) & set(too_new_for_the_original()):
            self._refuse(COMPVIS, Fn.condition_equals(parameters.text("Engine"), COMPVIS), ENGINE_WORDS)

    def condition(self, instance_type: str) -> CfnCondition | None:
        """Whether the deployed model fits the type; None where every model does."""
        left_out = tuple(self._left_out([instance_type]))
        if not left_out:
            return None
        same = tuple((model.name, ways) for model, ways in left_out)
        if same not in self._conditions:
            found = [self._is(model, ways) for model, ways in left_out]
            any_of = Fn.condition_or(*found) if len(found) > 1 else found[0]
            construct_id = "Fits" + "".join(part.capitalize() for part in instance_type.replace(".", "-").split("-"))
            self._conditions[same] = CfnCondition(self, construct_id, expression=Fn.condition_not(any_of))
        return self._conditions[same]

    def _left_out(self, types: Sequence[str]) -> Iterator[tuple[Model, Ways]]:
        """The models, each with the way, that fit none of `types`."""
        for model in read_catalogue().values():
            for ways in ways_for(model):
                if not fitting_types(types, model, ways=ways):
                    yield model, ways

    def _is(self, model: Model, ways: Ways) -> ICfnConditionExpression:
        return Fn.condition_and(*is_chosen(self._parameters, model, ways))

    def _refuse(self, name: str, when: ICfnConditionExpression, words: str) -> None:
        construct_id = "No" + "".join(part.capitalize() for part in name.split("-"))
        CfnRule(
            self,
            construct_id,
            assertions=[CfnRuleAssertion(assert_=Fn.condition_not(when), assert_description=words)],
        )
