"""Encodes texts once for all batches that have the same texts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from diffusers import DiffusionPipeline


@contextmanager
def prompts_remembered(pipeline: DiffusionPipeline) -> Iterator[None]:
    """While this is open, `pipeline` does not encode the texts of its last call a second time.

    It gets the result of the last call instead, so that no image changes. Most runs have one prompt, and each time that
    the prompt is encoded the GPU waits for the processor.
    """
    before = vars(pipeline).get("encode_prompt")
    encode = pipeline.encode_prompt
    last: tuple[Any, Any] | None = None

    def encode_unless_known(*args: Any, **options: Any) -> Any:
        nonlocal last
        if last is None or last[0] != (args, options):
            last = (args, options), encode(*args, **options)
        return last[1]

    pipeline.encode_prompt = encode_unless_known
    try:
        yield
    finally:
        # What is dropped without being closed ends in any order, and what was set around this may have ended before.
        vars(pipeline).pop("encode_prompt", None)
        if before:
            pipeline.encode_prompt = before
