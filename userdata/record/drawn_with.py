"""How an image was computed, which a replay must repeat to get the same bits."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Execution = Literal["eager", "cuda_graph", "fused", "compvis"]


class DrawnWith(BaseModel):
    """The computation that an image came from.

    Rounding differs with the size of the batch, with the way in which the network's kernels are started, with the
    precision and with the device. `indices` are the images of the batch, in their order in it; `execution` is how the
    denoising network ran, `compvis` in the original scripts; `precision` is the torch name of its numbers' type;
    `device` names the card, or is `cpu`; `quantized` is the type that the network's weights were kept in, `off` for
    their own; `tiled` says that the decoder worked in tiles, for want of memory. `emphasis`
    says that brackets were weights, and that long texts were read in chunks: without it, brackets were mere text.
    """

    model_config = ConfigDict(frozen=True)

    indices: list[int]
    execution: Execution
    precision: str
    device: str
    tiled: bool = False
    emphasis: bool = False
    quantized: Literal["off", "int8", "fp8", "nf4"] = "off"
