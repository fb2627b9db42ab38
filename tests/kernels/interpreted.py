"""`python -m tests.kernels.interpreted`: computes with the fused kernels on the CPU, in Triton's interpreter.

Ends with 1 and the reason when one of them computes something else than PyTorch, and with an error when a network does
with them than without.
"""

from __future__ import annotations

import logging
import os
import sys
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from userdata.worker.fused_blocks import fused
from userdata.worker.kernel_check import fused_kernels_work

# Major compute capabilities of GPUs that are feigned: before Hopper, and Hopper, for which some kernels are others.
MAJORS = (8, 9)


def main() -> int:
    """The exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.manual_seed(0)
    for major in MAJORS:
        fused_kernels_work.cache_clear()
        with patch.object(torch.cuda, "get_device_capability", return_value=(major, 0)):
            if not fused_kernels_work(torch.device("cpu")):  # which logs why
                return 1
    with patch.object(torch.cuda, "get_device_capability", return_value=(MAJORS[-1], 0)):
        _compare_network()
    return 0


@torch.no_grad()
def _compare_network() -> None:
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        sample_size=8,
    ).eval()
    for name, parameter in unet.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.5)  # else a bias that is forgotten would not show
    sample, text = torch.randn(1, 4, 4, 6), torch.randn(1, 5, 16)
    plain = unet(sample, 500, encoder_hidden_states=text).sample
    pipeline: Any = SimpleNamespace(unet=unet, vae=SimpleNamespace(decoder=_Decoder()))
    with fused(pipeline):
        with_kernels = unet(sample, 500, encoder_hidden_states=text).sample
    torch.testing.assert_close(with_kernels, plain, rtol=1e-4, atol=1e-4)


class _Decoder(nn.Module):
    """Nothing to fuse."""

    conv_norm_out = conv_act = None


if __name__ == "__main__":
    sys.exit(main())
