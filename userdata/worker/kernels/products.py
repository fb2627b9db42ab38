"""The products of a transformer's block, whose weights are plain ones, in fp8, or made again from another type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # its usual name
from torch import Tensor, nn

from userdata.worker.kernels.triton_kernels import fp8_kernel, int8_kernel, transformer_kernels
from userdata.worker.model.kept_linear import Fp8Linear, InFp8, Int8Linear


def read_by(layers: Sequence[Any], x: Tensor) -> Tensor | InFp8:
    """`x`, n × tokens × width, as all of `layers` take it: in fp8 where they multiply such numbers."""
    if all(isinstance(layer, Fp8Linear) for layer in layers):
        return fp8_kernel().in_fp8(x)
    return x


def product(layer: Any, x: Tensor) -> Tensor:
    """What `layer` makes of `x`."""
    made: Tensor = layer(read_by([layer], x))
    return made


def product_of_rows(layer: Any, x: Tensor) -> Tensor:
    """What `layer` makes of `x`, n × width: of few rows, so that its weights take longer to read than to multiply."""
    if isinstance(layer, Int8Linear):
        return int8_kernel().product(x, layer)
    made: Tensor = layer(x)
    return made


def product_of_gelu(widening: Any, narrowing: Any, x: Tensor | InFp8, *, beside: Tensor | None = None) -> Tensor:
    """What `narrowing` makes of `beside` and, in the columns after it, GELU of what `widening` makes of `x`."""
    if isinstance(narrowing, Fp8Linear):
        return narrowing.forward(fp8_kernel().in_fp8(widening(x), gelu=True, beside=beside))
    return _product_of_columns(narrowing, beside, _gelu_product(widening, x))


def product_of_gated(layer: Any, gates: Tensor, values: Tensor, *, beside: Tensor | None = None) -> Tensor:
    """What `layer` makes of `beside` and, in the columns after it, `values` times SiLU of `gates`."""
    if isinstance(layer, Fp8Linear):
        return layer.forward(fp8_kernel().in_fp8(values, gates=gates, beside=beside))
    return _product_of_columns(layer, beside, transformer_kernels().gated(gates, values))


def _gelu_product(layer: Any, x: Tensor | InFp8) -> Tensor:
    """GELU, by its approximation with tanh, of what `layer` makes of `x`: cuBLAS computes it before it writes."""
    if isinstance(x, Tensor) and x.is_cuda and _is_plain(layer) and layer.bias is not None:
        rows = torch._addmm_activation(layer.bias, x.flatten(0, 1), layer.weight.t(), use_gelu=True)
        return rows.view(*x.shape[:2], -1)
    return F.gelu(layer(x), approximate="tanh")


def _product_of_columns(layer: Any, first: Tensor | None, second: Tensor) -> Tensor:
    """What `layer` makes of the columns of `first` and then of `second`, which are not copied beside each other."""
    if first is None or not _is_plain(layer):
        made: Tensor = layer(second if first is None else torch.cat([first, second], dim=-1))
        return made
    own = first.shape[-1]
    added = F.linear(first, layer.weight[:, :own], layer.bias)
    added.flatten(0, 1).addmm_(second.flatten(0, 1), layer.weight[:, own:].t())
    return added


def _is_plain(layer: Any) -> bool:
    """Whether the weights are numbers, and not, for instance, quantized."""
    return type(layer) is nn.Linear and type(layer.weight) is nn.Parameter
