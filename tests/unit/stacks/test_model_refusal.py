"""Which card draws which model, in which type its weights are kept there, and what is refused."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.model_refusal import Ways, refusal, smallest_type
from userdata.contract.catalogue import read_catalogue
from userdata.job.choices import Quantize

CATALOGUE = read_catalogue()


@pytest.mark.parametrize(
    ("model", "instance_type", "kept"),
    [
        ("flux-schnell", "g6.xlarge", "int8"),
        ("flux-schnell", "g5.xlarge", "int8"),
        ("flux-schnell", "g7.2xlarge", "int8"),
        ("flux-schnell", "g6e.xlarge", "off"),
        ("chroma", "g6.xlarge", "int8"),
        ("chroma", "g5.xlarge", "int8"),
        ("chroma", "g7.2xlarge", "off"),
        ("chroma", "p5.4xlarge", "off"),
        ("flux2-klein", "g5.xlarge", "off"),
        ("z-image", "g6.xlarge", "off"),
        ("sdxl-base", "g6.xlarge", "off"),
    ],
)
def test_auto_keeps_the_own_weights_wherever_they_fit_and_else_what_errs_least(
    model: str, instance_type: str, kept: str
) -> None:
    gpu = INSTANCE_TYPES[instance_type].gpu
    assert Ways().kept_on(CATALOGUE[model], gpu) == kept
    assert Ways(quantize=kept).fit(CATALOGUE[model], gpu)
    for other in (Ways(lora=True), Ways(precision="full")):
        assert other.kept_on(CATALOGUE[model], gpu) == "off"


def test_nf4_comes_last() -> None:
    model = CATALOGUE["flux-schnell"]
    card = INSTANCE_TYPES["g6.xlarge"].gpu
    cards = {memory: type(card)("a card", memory, card.capability) for memory in (16.0, 17.5, 21.0, 33.0)}
    assert {memory: Ways().kept_on(model, one) for memory, one in cards.items()} == {
        16.0: "off",
        17.5: "nf4",
        21.0: "int8",
        33.0: "off",
    }
    assert "needs 32 GiB" in str(Ways().why_not(model, cards[16.0])), "what does not fit is refused by its own need"


def test_fp8_is_offered_by_the_cards_that_are_sure_to_multiply_it() -> None:
    ways, model = Ways(quantize="fp8"), CATALOGUE["flux2-klein"]
    able = {one.gpu.name for one in INSTANCE_TYPES.values() if ways.fit(model, one.gpu)}
    assert able == {"L4", "L40S", "H100", "H200", "B200"}
    why = refusal(model, instance_type="g5.xlarge", volume_size=200, ways=ways)
    assert why == (
        "InstanceType is 'g5.xlarge', whose card is the A10G. FLUX.2 [klein] 4B cannot be kept in fp8, because the "
        "A10G (compute capability 8.6) multiplies no fp8 numbers, which came with 8.9: take Quantize=int8."
    )
    assert {one.gpu.name for one in INSTANCE_TYPES.values() if not Ways(quantize="int8").fit(model, one.gpu)} == {"T4"}


@pytest.mark.parametrize(
    ("model", "ways", "name"),
    [
        ("stable-diffusion-v1-5", Ways(), "g4dn.xlarge"),
        ("flux2-klein", Ways(), "g6.xlarge"),
        ("flux-schnell", Ways(), "g6.xlarge"),
        ("flux-schnell", Ways(quantize="off"), "g6e.xlarge"),
        ("flux-schnell", Ways(lora=True), "g6e.xlarge"),
        ("flux-schnell", Ways(precision="full"), "g7e.2xlarge"),
    ],
)
def test_the_smallest_type_follows_from_the_way(model: str, ways: Ways, name: str) -> None:
    found = smallest_type(CATALOGUE[model], ways)
    assert found
    assert found.name == name


def test_every_refusal_of_a_card_names_model_card_and_a_type_that_draws_it_in_the_same_way() -> None:
    usual = [Ways(), Ways(lora=True), Ways("full")]
    kept = [*usual, Ways(quantize=Quantize.off, lora=True), *(Ways(quantize=one) for one in Quantize)]
    for name, model in CATALOGUE.items():
        for ways, instance in itertools.product(kept if model.quantized_gib else usual, INSTANCE_TYPES.values()):
            if why := refusal(model, instance_type=instance.name, volume_size=1000, ways=ways):
                assert instance.name in why
                assert instance.gpu.name in why
                assert model.title in why
                if way_out := re.search(r"choose at least (\S+) \(", why):
                    assert refusal(model, instance_type=way_out[1], volume_size=1000, ways=ways) is None, (name, why)
                else:
                    assert "take Quantize=int8" in why
                    assert replace(ways, quantize=Quantize.int8).fit(model, instance.gpu)
