"""Tells in the log what the model does not read of the prompts, before anything is drawn."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from diffusers import DiffusionPipeline

from userdata.job.image_request import ImageRequest
from userdata.job.job import Job
from userdata.job.prompt_notices import prompt_notices
from userdata.worker.drawing.generate import tokens_read

logger = logging.getLogger(__name__)
_PLACE = "TEXT"


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
    tokenizer, most = pipeline.components.get("tokenizer_2") or pipeline.tokenizer, tokens_read(pipeline)
    # A language model is asked as in a conversation, whose beginning counts. T5 takes one token for the end.
    before = len(tokenizer(_beginning(tokenizer)).input_ids) if tokenizer.chat_template else 0
    after = 0 if tokenizer.chat_template else 1
    for name, text in _texts(requests):
        tokens = tokenizer(text, truncation=False).input_ids
        if len(tokens) + before > most:
            lost = tokenizer.decode(tokens[most - before - after : len(tokens) - after])
            logger.warning("%s is longer than the model reads (%d tokens); cut off: %s", name, most, lost)


def _beginning(tokenizer: Any) -> str:
    asked = tokenizer.apply_chat_template([{"role": "user", "content": _PLACE}], tokenize=False)
    return str(asked.partition(_PLACE)[0])


def _texts(requests: Sequence[ImageRequest]) -> Iterable[tuple[str, str]]:
    prompts = [("Prompt", request.prompt) for request in requests]
    return dict.fromkeys([*prompts, *[("NegativePrompt", request.negative_prompt) for request in requests]])
