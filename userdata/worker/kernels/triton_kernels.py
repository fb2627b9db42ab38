"""The types of the fused kernels, for modules that must be imported without Triton."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from userdata.worker.model.kept_linear import InFp8, Int8Linear


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

    def plus_bias(self, x: Tensor, bias: Tensor) -> Tensor:
        """`x`, to which `bias` is added in its place."""
        ...

    def doubled(self, x: Tensor) -> Tensor:
        """Each pixel as four."""
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


class TransformerKernels(Protocol):
    """The functions of the module `transformer_kernels`, which says what they compute."""

    def normed(self, x: Tensor, norm: Any, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """The normalisation of the rows of `x`, scaled and shifted."""
        ...

    def summed(self, x: Tensor, added: Tensor, gate: Tensor | None, *, added_norm: Any = None) -> Tensor:
        """The sum of `x` and the gated other."""
        ...

    def summed_and_normed(
        self,
        x: Tensor,
        added: Tensor,
        gate: Tensor | None,
        norm: Any,
        scale: Tensor | None = None,
        shift: Tensor | None = None,
        *,
        added_norm: Any = None,
    ) -> tuple[Tensor, Tensor]:
        """The sum of `x` and the gated other, and its normalisation."""
        ...

    def turned(self, parts: list[tuple[Tensor, Any]], cosines: Tensor, sines: Tensor) -> Tensor:
        """Queries or keys, normalised and turned by their place."""
        ...

    def gated(self, gates: Tensor, values: Tensor) -> Tensor:
        """The product of `values` and SiLU of `gates`."""
        ...


def transformer_kernels() -> TransformerKernels:
    """The module `transformer_kernels`, whose import needs Triton."""
    from userdata.worker.kernels import transformer_kernels as module

    return module


class Fp8Kernel(Protocol):
    """The function of the module `fp8_kernel`, which says what it computes."""

    def in_fp8(
        self, x: Tensor, *, gelu: bool = False, gates: Tensor | None = None, beside: Tensor | None = None
    ) -> InFp8:
        """Rows in fp8, of what is made of `x`."""
        ...


def fp8_kernel() -> Fp8Kernel:
    """The module `fp8_kernel`, whose import needs Triton."""
    from userdata.worker.kernels import fp8_kernel as module

    return module


class Int8Kernel(Protocol):
    """The function of the module `int8_kernel`, which says what it computes."""

    def product(self, x: Tensor, layer: Int8Linear) -> Tensor:
        """What `layer` makes of few rows."""
        ...


def int8_kernel() -> Int8Kernel:
    """The module `int8_kernel`, whose import needs Triton."""
    from userdata.worker.kernels import int8_kernel as module

    return module
