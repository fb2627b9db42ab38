"""Keeps the CPU close to the GPU, so that the progress is right and a stop takes effect within a step or two."""

from __future__ import annotations

from collections import deque

import torch

AHEAD = 2


class StepsInFlight:
    """Lets the CPU run at most `AHEAD` denoising steps ahead of `device`: enough that the GPU never waits for it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._ends: deque[torch.cuda.Event] = deque()

    def one_more(self) -> None:
        """Counts a step that was handed to the device; waits while more than `AHEAD` steps are under way there."""
        if self._device.type != "cuda":
            return
        end = torch.cuda.Event()  # type: ignore[no-untyped-call]
        end.record()
        self._ends.append(end)
        if len(self._ends) > AHEAD:
            self._ends.popleft().synchronize()
