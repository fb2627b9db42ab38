"""Rules of the template that refuse a model which does not fit its machine."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from aws_cdk import CfnRule, CfnRuleAssertion, Fn, ICfnRuleConditionExpression
from constructs import Construct

from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.machine_parameters import MachineParameters
from stacks.facts.model_refusal import (
    ENGINE_WORDS,
    Ways,
    disk_words,
    licence_words,
    too_new_for_the_original,
    volume_need_gib,
)
from stacks.parameters import Parameters
from stacks.ways_chosen import is_chosen, second_pass_of_own_size, ways_for
from userdata.contract.catalogue import FULL, Model, read_catalogue
from userdata.contract.compvis import COMPVIS
from userdata.job.choices import Quantize
from userdata.job.job_fields import JobFields
from userdata.job.model_rules import limits


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
        self._quantize(parameters)
        for name, model in read_catalogue().items():
            chosen = Fn.condition_equals(parameters.text("Model"), name)
            rule = "".join(part.capitalize() for part in name.split("-"))
            usual = [
                *self._licence(model, parameters),
                *self._limits(model, parameters),
                *self._disk(model, parameters),
            ]
            self._rule(rule, chosen, usual)
            for ways in ways_for(model):
                self._memory(f"{rule}{_suffix(ways)}", model, ways, parameters)
                if twice := second_pass_of_own_size(model):
                    upscaled = replace(ways, second_pass_pixels=twice)
                    self._memory(f"{rule}Upscaled{_suffix(ways)}", model, upscaled, parameters)

    def _rule(self, name: str, condition: ICfnRuleConditionExpression, assertions: list[CfnRuleAssertion]) -> None:
        if assertions:
            CfnRule(self, name, rule_condition=condition, assertions=assertions)

    def _licence(self, model: Model, parameters: Parameters) -> list[CfnRuleAssertion]:
        if model.forbids is None:
            return []
        accepted = Fn.condition_equals(parameters.text("AcceptLicence"), model.name)
        return [CfnRuleAssertion(assert_=accepted, assert_description=licence_words(model))]

    def _limits(self, model: Model, parameters: Parameters) -> list[CfnRuleAssertion]:
        """What a job refuses, too, but for a scale: a template compares no numbers."""
        found = []
        for field, limit in limits(model).items():
            name = str(JobFields.model_fields[field].alias)
            # Not Fn::Contains, of which AWS does not say whether a list may have an empty text.
            equal = [Fn.condition_equals(parameters.text(name), one) for one in limit.allowed]
            allowed = Fn.condition_or(*equal) if len(equal) > 1 else equal[0]
            words = f"{name} is given, but {limit.words}."
            found.append(CfnRuleAssertion(assert_=allowed, assert_description=words))
        return found

    def _quantize(self, parameters: Parameters) -> None:
        """What a job refuses, too (userdata/job/model_rules.py)."""
        text = parameters.text
        able = [name for name, model in read_catalogue().items() if model.quantized_gib]
        its_own = Fn.condition_contains([Quantize.auto, Quantize.off], text("Quantize"))
        wanted = {
            Fn.condition_contains(able, text("Model")): f"Quantize other than auto and off is for {', '.join(able)}.",
            Fn.condition_equals(text("Precision"), "autocast"): "Quantize and Precision=full exclude each other.",
            Fn.condition_equals(text("Lora"), ""): "A LoRA is merged into a model's own weights: leave Quantize out.",
        }
        assertions = [CfnRuleAssertion(assert_=one, assert_description=words) for one, words in wanted.items()]
        CfnRule(self, "Quantize", rule_condition=Fn.condition_not(its_own), assertions=assertions)

    def _memory(self, name: str, model: Model, ways: Ways, parameters: Parameters) -> None:
        """Of a second pass only where it asks for more than the first one does."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for one in INSTANCE_TYPES.values():
            if why := ways.why_not(model, one.gpu):
                found[why].append(one.name)
        once, names = replace(ways, second_pass_pixels=0), [name for names in found.values() for name in names]
        if ways.second_pass_pixels and not any(once.fit(model, INSTANCE_TYPES[name].gpu) for name in names):
            return
        when = is_chosen(parameters, model, ways)
        refused = [self._none_of(names, parameters.text("InstanceType"), why) for why, names in found.items()]
        self._rule(name, Fn.condition_and(*when), refused)

    def _disk(self, model: Model, parameters: Parameters) -> list[CfnRuleAssertion]:
        smallest = _smallest_volume()
        small = [str(size) for size in range(smallest, volume_need_gib(model))]
        return [self._none_of(small, parameters.text("VolumeSize"), disk_words(model))] if small else []

    def _none_of(self, values: list[str], value: str, words: str) -> CfnRuleAssertion:
        return CfnRuleAssertion(
            assert_=Fn.condition_not(Fn.condition_contains(values, value)), assert_description=words
        )


def _suffix(ways: Ways) -> str:
    if ways.precision == FULL:
        return "InFull"
    return "WithALora" if ways.lora else f"Kept{ways.quantize.capitalize()}"


def _smallest_volume() -> int:
    for bound in MachineParameters.model_fields["volume_size"].metadata:
        if hasattr(bound, "ge"):
            return int(bound.ge)
    raise AssertionError("VolumeSize has a lower bound")
