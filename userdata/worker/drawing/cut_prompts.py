"""Warns of the words of a prompt that the model does not read, because the prompt is too long."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from diffusers import DiffusionPipeline

from userdata.job.image_request import ImageRequest
from userdata.worker.drawing.generate import FLUX_TOKENS

logger = logging.getLogger(__name__)


def tell_of_cut_prompts(pipeline: DiffusionPipeline, requests: Sequence[ImageRequest]) -> None:
    """Warns in the log of each text of `requests` that is longer than the model reads, once."""
    texts = {"Prompt": [r.prompt for r in requests], "NegativePrompt": [r.negative_prompt for r in requests]}
    for name, prompts in texts.items():
        for prompt in dict.fromkeys(prompts):
            tell_what_is_cut(pipeline, name, prompt)


def tell_what_is_cut(pipeline: DiffusionPipeline, name: str, prompt: str) -> None:
    """Warns in the log when the text encoder cannot take all of `prompt`, and names the words that are cut off."""
    tokenizer, limit = pipeline.tokenizer, pipeline.tokenizer.model_max_length
    if "transformer" in pipeline.components:
        tokenizer, limit = pipeline.tokenizer_2, FLUX_TOKENS
    tokens = tokenizer(prompt, truncation=False).input_ids
    if len(tokens) > limit:
        lost = tokenizer.decode(tokens[limit - 1 : -1])
        logger.warning("%s is longer than the model reads (%d tokens); cut off: %s", name, limit, lost)
