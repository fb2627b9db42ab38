"""Tells in the log what the model does not read of the prompts, before anything is drawn."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from diffusers import DiffusionPipeline

from userdata.job.image_request import ImageRequest
from userdata.job.job import Job
from userdata.job.prompt_notices import prompt_notices
from userdata.worker.drawing.generate import FLUX_TOKENS

logger = logging.getLogger(__name__)


def tell_of_syntax(job: Job, requests: Sequence[ImageRequest]) -> None:
    """Warns of words in the texts of `requests` that other programs would not take as words."""
    for sentence in prompt_notices(_texts(requests), weighed=job.weighs_words):
        logger.warning("%s", sentence)


def tell_what_is_cut(pipeline: DiffusionPipeline, requests: Sequence[ImageRequest]) -> None:
    """Warns of each text of `requests` that is longer than the model reads, and names the words that are cut off.

    Only a model of more than CLIP's text encoders has such a limit.
    """
    if "transformer" not in pipeline.components:
        return
    for name, text in _texts(requests):
        tokens = pipeline.tokenizer_2(text, truncation=False).input_ids
        if len(tokens) > FLUX_TOKENS:
            lost = pipeline.tokenizer_2.decode(tokens[FLUX_TOKENS - 1 : -1])
            logger.warning("%s is longer than the model reads (%d tokens); cut off: %s", name, FLUX_TOKENS, lost)


def _texts(requests: Sequence[ImageRequest]) -> Iterable[tuple[str, str]]:
    prompts = [("Prompt", request.prompt) for request in requests]
    return dict.fromkeys([*prompts, *[("NegativePrompt", request.negative_prompt) for request in requests]])
