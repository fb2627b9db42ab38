"""The types of the fused kernels, for modules that must be imported without Triton."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn


class Kernels(Protocol):
    """The functions of the module `fused_kernels`."""

    def group_norm(
        self, x: Tensor, norm: nn.GroupNorm, *, silu: bool, added: Tensor | None = None, joined: Tensor | None = None
    ) -> Tensor:
        """The normalisation of `x` with the channels of `joined`, after `added`, and its SiLU if asked for."""
        ...

    def sum_of(self, x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
        """The sum of `x`, `y` and `bias`."""
        ...

    def geglu(self, x: Tensor, layer: nn.Linear) -> Tensor:
        """The gated half of what `layer` makes of `x`."""
        ...

    def layer_norm(
        self, x: Tensor, norm: nn.LayerNorm, *, added: Tensor | None = None, kept: Tensor | None = None
    ) -> Tensor:
        """The normalisation of `x + added`; `x` becomes `x + kept`."""
        ...

    def interleaved(self, x: Tensor, bias: Tensor) -> Tensor:
        """Four small images woven into a large one."""
        ...


def kernels() -> Kernels:
    """The module `fused_kernels`, whose import needs Triton."""
    from userdata.worker.kernels import fused_kernels

    return fused_kernels
