"""Arithmetic in bfloat16 where that is faster."""

from __future__ import annotations

from typing import Any

import torch


def half_precision(device: torch.device) -> Any:
    """A context for the forward pass: bfloat16 on a GPU; nothing on a CPU, where most have to emulate it.

    Weights are cast anew each time: what was cast in an earlier step must not be used again in one that is recorded.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda", cache_enabled=False)
