"""Products of one input with the weights of many layers, computed as one.

An image by itself gives a large card too little work: a step of Stable Diffusion v1 is some 800 kernels of 9 µs, most
of which wait for their start (docs/performance.md). One product for all texts' keys and values takes the time of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # its usual name
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn


class JoinedProducts:
    """What linear layers make of the same input.

    Their parameters become parts of one matrix, in which a LoRA that is merged later is found too, because merging
    changes numbers in their place. `biases` are vectors beside the layers' own, one for each layer, which are added as
    well. `before` is done to the input.
    """

    def __init__(
        self,
        layers: Sequence[nn.Linear],
        *,
        biases: Sequence[Tensor] = (),
        before: Callable[[Tensor], Tensor] = lambda x: x,
    ) -> None:
        self._weight = _in_one([layer.weight for layer in layers])
        own = [layer.bias for layer in layers if layer.bias is not None]
        self._biases = [_in_one(vectors) for vectors in (own, biases) if vectors]
        self._widths = [len(layer.weight) for layer in layers]
        self._before = before
        self._input: Tensor | None = None
        self._parts: Sequence[Tensor] = ()

    def of(self, x: Tensor) -> Sequence[Tensor]:
        """A tensor for each layer; each row of it is a part of a longer one."""
        bias: Tensor | None = None
        for one in self._biases:
            bias = one if bias is None else bias + one
        return torch.split(F.linear(self._before(x), self._weight, bias), self._widths, dim=-1)

    def part(self, number: int, x: Tensor) -> Tensor:
        """What the layer of that number makes of `x`. All are computed at the first call with a tensor.

        The caller says `forget` at the end of each step: the numbers of a tensor may be others in the next one.
        """
        if x is not self._input:
            self._parts, self._input = self.of(x), x
        return self._parts[number]

    def forget(self) -> None:
        """Lets go of the input and of what was made of it."""
        self._input, self._parts = None, ()


def can_be_joined(layers: Sequence[nn.Module]) -> bool:
    """Whether these are plain linear layers of the same input, with the same type of numbers, all with a bias or none.

    So neither weights that are quantized nor an adapter that is computed beside its layer.
    """
    first, *_ = layers
    return all(
        type(layer) is nn.Linear
        and type(layer.weight) is nn.Parameter
        and layer.in_features == first.in_features
        and (layer.bias is None) == (first.bias is None)
        and layer.weight.dtype == first.weight.dtype
        and layer.weight.device == first.weight.device
        for layer in layers
    )


def _in_one(parameters: Sequence[Tensor]) -> Tensor:
    joined = torch.cat([parameter.data for parameter in parameters])
    for parameter, part in zip(parameters, torch.split(joined, [len(one) for one in parameters]), strict=True):
        parameter.data = part
    return joined


def join(network: nn.Module) -> Iterator[nn.Module]:
    """Computes products that have their input in common as one, in blocks of a U-Net whose `forward` is a fused one.

    Yields the other modules with a new `forward`.
    """
    fused_ones = [module for module in network.modules() if "forward" in vars(module)]
    transformers = [block for block in fused_ones if isinstance(block, BasicTransformerBlock)]
    of_step = []
    residual = [block for block in fused_ones if isinstance(block, ResnetBlock2D) and block.time_emb_proj is not None]
    of_time = [block.time_emb_proj for block in residual]
    if of_time and can_be_joined(of_time):
        of_step.append(JoinedProducts(of_time, biases=[block.conv1.bias for block in residual], before=F.silu))
        for number, block in enumerate(residual):
            block.forward = partial(block.forward, of_time=partial(of_step[-1].part, number))
    of_text = [layer for block in transformers for layer in (block.attn2.to_k, block.attn2.to_v)]
    if of_text and can_be_joined(of_text):
        of_step.append(JoinedProducts(of_text))
        for number, layer in enumerate(of_text):
            layer.forward = partial(of_step[-1].part, number)
            yield layer
    for block in transformers:
        of_tokens = [block.attn1.to_q, block.attn1.to_k, block.attn1.to_v]
        if can_be_joined(of_tokens):
            block.forward = partial(block.forward, of_tokens=JoinedProducts(of_tokens).of)
    network.forward = partial(_step, network, of_step)
    yield network


def _step(network: nn.Module, joined: Sequence[JoinedProducts], *args: Any, **kwargs: Any) -> Any:
    try:
        return type(network).forward(network, *args, **kwargs)
    finally:
        for products in joined:
            products.forget()
