"""The LoRAs that a prompt asks for, in the community's spelling: `a castle <lora:style:0.8>`."""

from __future__ import annotations

import re

from userdata.contract.lora_list import LARGEST_WEIGHT, listed_loras, lora_text, same_name

# A run of spaces is looked at from its beginning alone: from each of its spaces takes the square of its length.
# The second word is what an extension for LyCORIS files called them.
_TAG = re.compile(r"(?:(?<!\s)\s+)?<(?:lora|lyco):([^<>]*)>", re.IGNORECASE)


def split_loras(prompt: str, negative_prompt: str, loras: str) -> tuple[str, dict[str, float]]:
    """The text of `prompt` without its LoRAs, and the weight of each LoRA for this prompt, if it is not 0.

    `loras` is the job's list. What the prompt says of one takes the place of the list's weight; a LoRA without a weight
    has 1. Raises `ValueError` for a name that is not in the list or stands there twice, for a weight that is none, and
    for a LoRA in the negative prompt.
    """
    listed = listed_loras(loras)
    if in_negative := _TAG.search(negative_prompt):
        raise ValueError(
            f"NegativePrompt has {in_negative[0].strip()}, but a LoRA works on the whole image: write it into Prompt"
        )
    asked: dict[str, float] = {}
    for tag in _TAG.finditer(prompt):
        typed, *weights = tag[1].split(":")
        name = next((one.name for one in listed if same_name(typed, one.name)), None)
        if name is None:
            known = f"lists {', '.join(one.name for one in listed)}" if listed else "lists none"
            raise ValueError(f"Prompt asks for the LoRA {typed}, but Lora {known}: add its file to Lora, or correct it")
        if name in asked:
            raise ValueError(f"Prompt asks for the LoRA {name} twice: write it once, with one weight")
        asked[name] = _weight(tag[0].strip(), weights)
    text = _TAG.sub("", prompt)
    if asked and not text.strip():
        raise ValueError("Prompt has nothing but LoRAs: write what the images show, too")
    whole = {**{one.name: one.weight for one in listed}, **asked}
    return text, {name: weight for name, weight in whole.items() if weight}


def weights_of(loras: str, of_image: dict[str, float] | None) -> dict[str, float]:
    """The weight of each LoRA that an image is drawn with, by the name.

    `loras` is the job's list, and `of_image` what stands in the image's request: None in records of an earlier version,
    where every image had the whole list.
    """
    weights = {one.name: one.weight for one in listed_loras(loras)} if of_image is None else of_image
    return {name: weight for name, weight in weights.items() if weight}


def loras_with(loras: str, of_image: dict[str, float] | None) -> str:
    """The list `loras` with the weights of one image, without those that it is not drawn with."""
    weights = weights_of(loras, of_image)
    return ",".join(lora_text(one.place, weights[one.name]) for one in listed_loras(loras) if one.name in weights)


def _weight(tag: str, weights: list[str]) -> float:
    try:
        (weight,) = [float(one) for one in weights] or [1.0]
    except ValueError:
        weight = float("nan")
    if not (-LARGEST_WEIGHT <= weight <= LARGEST_WEIGHT and weight == round(weight, 3)):
        raise ValueError(
            f"Prompt has {tag}, but a LoRA has one weight, from {-LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g} with up to "
            "3 decimals, for example <lora:style:0.8>"
        )
    return weight
