"""The one dial of the page, which sets the options that make an image quicker or better."""

from __future__ import annotations

from userdata.contract.catalogue import find_model
from userdata.contract.image_size import LONGEST_EDGE
from userdata.job.job import Job
from userdata.job.model_rules import ABLE

DRAFT, GOOD, BEST = "draft", "good", "best"
# A model that was distilled to few steps draws worse with fewer, and no better with more.
FEWEST_TO_SPARE = 15


def dial(model: str, *, from_image: bool = False) -> dict[str, dict[str, str]]:
    """What each position sets, by parameters, for `model`. Raises `KeyError` for a model that there is not.

    best draws a second pass at twice the size where the model can, and else takes half as many steps again.
    """
    own = Job(model=model)
    can_upscale = find_model(model).pipeline in ABLE and 2 * max(own.H, own.W) <= LONGEST_EDGE and not from_image
    spare = own.ddim_steps >= FEWEST_TO_SPARE
    more = {"Steps": str(own.ddim_steps * 3 // 2)} if spare else {}
    return {
        DRAFT: {"Steps": str(own.ddim_steps // 3)} if spare else {},
        GOOD: {},
        BEST: {"Upscale": "2"} if can_upscale else more,
    }


def in_words(model: str, position: str) -> str:
    """What a position means for `model`."""
    own, sets = Job(model=model), dial(model)[position]
    steps = f"{sets.get('Steps', own.ddim_steps)} steps at {own.W} × {own.H}"
    if "Upscale" in sets:
        return f"{steps}, then a second pass at {2 * own.W} × {2 * own.H}"
    return steps


def with_dial(typed: dict[str, str], position: str, deployed: str) -> dict[str, str]:
    """What was typed, over what the dial sets for the model; `deployed` is the model where none was typed."""
    try:
        sets = dial(typed.get("Model", deployed), from_image="InitImage" in typed).get(position, {})
    except ValueError:  # a model that there is not, which the rules of the job refuse
        sets = {}
    return {**sets, **typed}
