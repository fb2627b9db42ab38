"""Replays a whole training step from one CUDA graph: small networks otherwise wait for kernels to be launched."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch

logger = logging.getLogger(__name__)

Step = Callable[[], torch.Tensor]
# Steps before the recording: compilation, the optimizer's state and cuDNN's choices have to be made by then.
BEFORE = 4


def recorded(step: Step) -> Step:
    """`step`, recorded once and replayed at each call; it must wait for nothing and draw from torch's own generator.

    `step` runs a few times for real on the way. Where it cannot be recorded, on a CPU or because a library waits for
    the GPU, it comes back as it is: slower and with the same results.
    """
    if not torch.cuda.is_available():
        return step
    stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(BEFORE):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            result = step()
    except RuntimeError:
        logger.warning("the step cannot be recorded; it goes on without", exc_info=True)
        torch.cuda.synchronize()
        return step

    def replay(_alive: Step = step) -> torch.Tensor:
        # The graph knows addresses only: what `step` holds must not be given to others as free memory.
        graph.replay()
        return result

    return replay
