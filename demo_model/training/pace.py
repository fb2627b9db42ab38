"""How long a training goes on, and how fast it learns on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch

# The processor runs ahead of the GPU; so often it waits, or the clock would be wrong by all the steps that are queued.
WAIT_EVERY = 20


def learning_rate(share: float, peak: float) -> float:
    """A half cosine from `peak`, where `share` of the training is 0, down to a hundredth of it, where it is 1."""
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


def paced_steps(*, steps: int, seconds: float, peak: float, warm_up: int) -> Iterator[tuple[int, float]]:
    """The number and the learning rate of each step, until `steps` are done or `seconds` are over.

    The rate rises in a line to `peak` during the first `warm_up` steps and then falls with whichever of the two limits
    is nearer, so that a slower GPU gives a finished model too. Seconds count from the first step on, and the warm-up is
    never cut short.
    """
    started = time.monotonic()
    for step in range(steps):
        if step % WAIT_EVERY == 0 and torch.cuda.is_available():
            torch.cuda.synchronize()
        if step < warm_up:
            yield step, peak * (step + 1) / warm_up
            continue
        share = max((step - warm_up) / max(1, steps - warm_up), (time.monotonic() - started) / seconds)
        if share >= 1:
            return
        yield step, learning_rate(share, peak)
