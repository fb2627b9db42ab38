"""Encodes texts once for all batches of the same texts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from diffusers import DiffusionPipeline


@contextmanager
def prompts_remembered(pipeline: DiffusionPipeline) -> Iterator[None]:
    """`pipeline` encodes texts that are those of its last call no second time while this is open.

    What it had made of them is given back, so that no image changes. Most runs have one prompt, and encoding it for
    every batch lets the GPU wait for the processor each time.
    """
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
        del pipeline.encode_prompt
