"""Products of one input with the weights of many layers, computed as one.

An image by itself gives a large card too little work: a step of Stable Diffusion v1 is some 800 kernels of 9 µs, most
of which wait for their start (docs/performance.md). One product for all texts' keys and values takes the time of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812  # its usual name
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
