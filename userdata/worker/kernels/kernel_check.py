"""Compares the fused kernels on a device with PyTorch's own operations, before anything is drawn with them."""

from __future__ import annotations

import logging
from functools import cache

import torch
import torch.nn.functional as F  # noqa: N812  # its usual name
from torch import Tensor, nn

from userdata.worker.kernels.parity_weights import parity_weights
from userdata.worker.kernels.triton_kernels import Kernels, kernels

logger = logging.getLogger(__name__)

# For numbers around 1 in half precision, which has a relative step of 0.001.
TOLERANCE = 0.01


@cache
def fused_kernels_work(device: torch.device) -> bool:
    """Whether the kernels compile here, which takes a C compiler, and compute on `device` what PyTorch computes."""
    try:
        _try_kernels(kernels(), device)
    except Exception as error:  # noqa: BLE001  # whatever it is, the images can be drawn without them
        logger.warning(
            "The fused kernels cannot be used, so that images take longer (%s: %s)", type(error).__name__, error
        )
        return False
    return True


@torch.no_grad()
def _try_kernels(kernels: Kernels, device: torch.device) -> None:
    generator = torch.Generator(device).manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device).half()

    x, added, rows, layer = drawn(2, 96, 9, 10), drawn(2, 96), drawn(5, 48), nn.Linear(48, 96).to(device).half()
    norm, row_norm = nn.GroupNorm(32, 96).to(device).half(), nn.LayerNorm(48).to(device).half()
    # Filled here, because transformers keeps PyTorch from filling them, in all threads, while a thread loads a model.
    for module in (layer, norm, row_norm):
        module.weight.copy_(drawn(*module.weight.shape) / len(module.weight) ** 0.5)
        module.bias.copy_(drawn(*module.bias.shape))
    x = x.contiguous(memory_format=torch.channels_last)
    halves, changed = layer(rows).chunk(2, dim=-1), rows.clone()
    pairs = (
        (kernels.group_norm(x, norm, silu=True, added=added), F.silu(norm(x + added[:, :, None, None]))),
        (kernels.group_norm(x[:, :60], norm, silu=False, joined=x[:, 60:]), norm(x)),
        (kernels.sum_of(x, x, norm.weight), 2 * x + norm.weight[:, None, None]),
        (kernels.geglu(rows, layer), halves[0] * F.gelu(halves[1])),
        (kernels.layer_norm(rows, row_norm, added=row_norm.weight), row_norm(rows + row_norm.weight)),
        (kernels.layer_norm(changed, row_norm, kept=changed[0].clone()), row_norm(rows)),
        (changed, rows + rows[0]),
    )
    weight = drawn(3, 96, 3, 3) / 30
    four = F.conv2d(x, parity_weights(weight), padding=1).contiguous(memory_format=torch.channels_last)
    doubled = F.conv2d(F.interpolate(x, scale_factor=2.0), weight, norm.weight[:3], padding=1)
    for computed, expected in (*pairs, (kernels.interleaved(four, norm.weight[:3]), doubled)):
        torch.testing.assert_close(computed, expected, rtol=TOLERANCE, atol=TOLERANCE)
