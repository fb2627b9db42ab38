"""Rules of the template that refuse a model which does not fit its machine."""

from __future__ import annotations

from aws_cdk import CfnRule, CfnRuleAssertion, Fn, ICfnConditionExpression, ICfnRuleConditionExpression
from constructs import Construct

from stacks.facts.instance_types import too_small, without_bfloat16
from stacks.facts.machine_parameters import MachineParameters
from stacks.facts.model_refusal import (
    ENGINE_WORDS,
    disk_words,
    licence_words,
    memory_words,
    number_words,
    too_new_for_the_original,
    volume_need_gib,
)
from stacks.parameters import Parameters
from userdata.contract.catalogue import FULL, Model, read_catalogue
from userdata.contract.compvis import COMPVIS
from userdata.job.second_look_rules import ABLE


class ModelFit(Construct):
    """The rules, with which a plain `cdk deploy` refuses as `sd deploy` does.

    Types and sizes that are too small are listed, not those that fit: a type that is not in the table passes.
    """

    def __init__(self, scope: Construct, construct_id: str, *, parameters: Parameters) -> None:
        super().__init__(scope, construct_id)
        CfnRule(
            self,
            "Engine",
            rule_condition=Fn.condition_equals(parameters.text("Engine"), COMPVIS),
            assertions=[
                self._none_of(too_new_for_the_original(), parameters.text("InstanceType"), ENGINE_WORDS),
            ],
        )
        in_full = Fn.condition_equals(parameters.text("Precision"), FULL)
        for name, model in read_catalogue().items():
            chosen = Fn.condition_equals(parameters.text("Model"), name)
            rule = "".join(part.capitalize() for part in name.split("-"))
            usual = [
                *self._licence(model, parameters),
                *self._numbers(model, parameters),
                *self._memory(model, "autocast", parameters),
                *self._disk(model, parameters),
            ]
            self._rule(rule, chosen, usual)
            self._rule(f"{rule}InFull", Fn.condition_and(chosen, in_full), self._memory(model, FULL, parameters))
            if twice := second_pass_of_own_size(model):
                upscaled = [chosen, *upscaled_in_its_own_size(parameters)]
                memory = self._memory(model, "autocast", parameters, twice)
                self._rule(f"{rule}Upscaled", Fn.condition_and(*upscaled), memory)
                memory = self._memory(model, FULL, parameters, twice)
                self._rule(f"{rule}UpscaledInFull", Fn.condition_and(in_full, *upscaled), memory)

    def _rule(self, name: str, condition: ICfnRuleConditionExpression, assertions: list[CfnRuleAssertion]) -> None:
        if assertions:
            CfnRule(self, name, rule_condition=condition, assertions=assertions)

    def _licence(self, model: Model, parameters: Parameters) -> list[CfnRuleAssertion]:
        if model.forbids is None:
            return []
        accepted = Fn.condition_equals(parameters.text("AcceptLicence"), model.name)
        return [CfnRuleAssertion(assert_=accepted, assert_description=licence_words(model))]

    def _numbers(self, model: Model, parameters: Parameters) -> list[CfnRuleAssertion]:
        """No single precision passes: the models that need bfloat16 do not fit such a card in it either."""
        if not model.needs_bfloat16("autocast"):
            return []
        lacking = [one.name for one in without_bfloat16()]
        return [self._none_of(lacking, parameters.text("InstanceType"), number_words(model))]

    def _memory(
        self, model: Model, precision: str, parameters: Parameters, second_pass_pixels: int = 0
    ) -> list[CfnRuleAssertion]:
        """Of a second pass only where it asks for more than the first one does."""
        usual = too_small(model.memory_need(precision) or 0)
        small = [one.name for one in too_small(model.memory_need(precision, second_pass_pixels) or 0)]
        if second_pass_pixels and len(small) == len(usual):
            return []
        words = memory_words(model, precision, second_pass_pixels) if small else ""
        return [self._none_of(small, parameters.text("InstanceType"), words)] if small else []

    def _disk(self, model: Model, parameters: Parameters) -> list[CfnRuleAssertion]:
        smallest = _smallest_volume()
        small = [str(size) for size in range(smallest, volume_need_gib(model))]
        return [self._none_of(small, parameters.text("VolumeSize"), disk_words(model))] if small else []

    def _none_of(self, values: list[str], value: str, words: str) -> CfnRuleAssertion:
        return CfnRuleAssertion(
            assert_=Fn.condition_not(Fn.condition_contains(values, value)), assert_description=words
        )


def second_pass_of_own_size(model: Model) -> int:
    """How many pixels a second pass over the model's own size has; 0 for a model that makes none.

    The template's rules know this size alone: with another one, the worker asks the card before it loads the model.
    """
    return 4 * int(model.defaults["H"]) * int(model.defaults["W"]) if model.pipeline in ABLE else 0


def upscaled_in_its_own_size(parameters: Parameters) -> list[ICfnConditionExpression]:
    """That such a second pass is asked for."""
    values = {"Upscale": "2", "Height": "", "Width": ""}
    return [Fn.condition_equals(parameters.text(name), value) for name, value in values.items()]


def _smallest_volume() -> int:
    for bound in MachineParameters.model_fields["volume_size"].metadata:
        if hasattr(bound, "ge"):
            return int(bound.ge)
    raise AssertionError("VolumeSize has a lower bound")
