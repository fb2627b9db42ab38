"""The ways in which a model's weights can be kept, as conditions of the template on its parameters."""

from __future__ import annotations

from aws_cdk import Fn, ICfnRuleConditionExpression

from stacks.facts.model_refusal import AS_USUAL, Ways
from stacks.parameters import Parameters
from userdata.contract.catalogue import FULL, Model
from userdata.job.choices import Quantize
from userdata.job.model_rules import ABLE


def ways_for(model: Model) -> list[Ways]:
    """Every way that may ask for another card; each is the case under one condition of its own."""
    if not model.quantized_gib:
        return [AS_USUAL, Ways(precision=FULL)]
    return [*(Ways(quantize=str(one)) for one in Quantize), Ways(lora=True), Ways(precision=FULL)]


def second_pass_of_own_size(model: Model) -> int:
    """How many pixels a second pass over the model's own size has; 0 for a model that makes none.

    The template's rules know this size alone: with another one, the worker asks the card before it loads the model.
    """
    return 4 * int(model.defaults["H"]) * int(model.defaults["W"]) if model.pipeline in ABLE else 0


def is_chosen(parameters: Parameters, model: Model, ways: Ways) -> list[ICfnRuleConditionExpression]:
    """What is the case together when a deploy draws with `model` in that way.

    LoRAs count with Quantize=auto alone: `off` keeps the own weights anyway, and the other types take no LoRA.
    """
    text = parameters.text
    found = [
        Fn.condition_equals(text("Model"), model.name),
        Fn.condition_equals(text("Precision"), ways.precision),
    ]
    if model.quantized_gib and ways.precision != FULL:
        found.append(Fn.condition_equals(text("Quantize"), ways.quantize))
        if ways.quantize == Quantize.auto:
            without = Fn.condition_equals(text("Lora"), "")
            found.append(Fn.condition_not(without) if ways.lora else without)
    if ways.second_pass_pixels:
        values = {"Upscale": "2", "Height": "", "Width": ""}
        found += [Fn.condition_equals(text(name), value) for name, value in values.items()]
    return found
