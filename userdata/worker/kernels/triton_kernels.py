"""The fused kernels by what they compute, for who can do without Triton."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn


class Kernels(Protocol):
    """What `fused_kernels` has."""

    def group_norm(
        self, x: Tensor, norm: nn.GroupNorm, *, silu: bool, added: Tensor | None = None, joined: Tensor | None = None
    ) -> Tensor:
        """The normalisation of `x` with the channels of `joined`, after `added`, and SiLU of it."""
        ...

    def sum_of(self, x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
        """The sum."""
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
    """The kernels' module, which can only be imported where there is Triton."""
    from userdata.worker.kernels import fused_kernels

    return fused_kernels
