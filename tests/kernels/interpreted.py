"""`python -m tests.kernels.interpreted`: computes with the fused kernels on the CPU, in Triton's interpreter.

Ends with 1 and the reason when one of them computes something else than PyTorch, and with an error when a network does
with them than without.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any
from unittest.mock import patch

os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined

import numpy as np
import torch
from triton.runtime import interpreter

from tests.small_networks import small_pipeline
from userdata.worker.kernels.fused_blocks import fused
from userdata.worker.kernels.kernel_check import checked, fused_kernels_work

# Major compute capabilities of GPUs that are feigned: before Hopper, and Hopper, for which some kernels are others.
MAJORS = (8, 9)
converted_by_triton = interpreter._convert_float


def convert_float(numbers: Any, source: Any, target: Any, rounding: Any) -> Any:
    """As the interpreter's own, which halves what it rounds up to the next power of two in fp8."""
    if target.name != "fp8e4nv":
        return converted_by_triton(numbers, source, target, rounding)
    return torch.from_numpy(np.array(numbers, np.float32)).to(torch.float8_e4m3fn).view(torch.uint8).numpy()


def main() -> int:
    """The exit code."""
    interpreter._convert_float = convert_float
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for major in MAJORS:
        checked.cache_clear()
        with patch.object(torch.cuda, "get_device_capability", return_value=(major, 0)):
            if not fused_kernels_work(torch.device("cpu")):  # which logs why
                return 1
    if not fused_kernels_work(torch.device("cpu"), of_transformer=True):
        return 1
    with patch.object(torch.cuda, "get_device_capability", return_value=(MAJORS[-1], 0)):
        _compare_network()
    return 0


@torch.no_grad()
def _compare_network() -> None:
    pipeline = small_pipeline()
    sample, text = torch.randn(1, 4, 4, 6), torch.randn(1, 5, 16)
    plain = pipeline.unet(sample, 500, encoder_hidden_states=text).sample
    with fused(pipeline):
        with_kernels = pipeline.unet(sample, 500, encoder_hidden_states=text).sample
    torch.testing.assert_close(with_kernels, plain, rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    sys.exit(main())
