"""`python -m tests.kernels.compiled ARCHITECTURES`: compiles the fused kernels for GPUs, which need not be there.

ARCHITECTURES are compute capabilities as nvcc writes them, for example 86. Ends with an error for the kernel that does
not compile.
"""

from __future__ import annotations

import sys
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from userdata.worker.kernels import fp8_kernel, fused_kernels, gated_product, int8_kernel, transformer_kernels

HALF, SINGLE, WHOLE = "*fp16", "*fp32", "i32"
# By the names of their arguments; what is not among them is a whole number.
TYPES = {
    **dict.fromkeys(("x", "y", "out", "weight", "bias", "added", "kept", "normed"), HALF),
    **dict.fromkeys(("means", "squares", "scale", "shift"), SINGLE),
    "eps": "fp32",
}
PIECE = {"PIECE": fused_kernels.PIECE}
TILE = {"ROWS": fused_kernels.ROWS, "COLUMNS": fused_kernels.COLUMNS}
CONSTANTS: dict[str, dict[str, Any]] = {
    "_column_statistics": {**TILE, "TURNS": fused_kernels.TURNS},
    "_scale_and_shift": {"ADDED": True, "OF_GROUP": 30, "ROWS": 128, "PIECES": 64, "WIDTH": 32},
    "_scaled_and_shifted": {**TILE, "SILU": True},
    "_sum": {**PIECE, "OTHER": True, "BIAS": True},
    "_doubled": PIECE,
    "_geglu": PIECE,
    "_layer_norm": {"ADDED": True, "KEPT": True, "ROWS": 4, "WIDTH": 512},
    "_interleaved": PIECE,
}
BRAIN = "*bf16"
TYPES_OF_TRANSFORMERS = {
    **dict.fromkeys(("x", "added", "added_weight", "gate", "weight", "scale", "shift"), BRAIN),
    **dict.fromkeys(("total", "normed", "out", "gates", "values"), BRAIN),
    **dict.fromkeys(("cosines", "sines"), SINGLE),
    **dict.fromkeys(("eps", "added_eps"), "fp32"),
}
TYPES_OF_FP8 = {**dict.fromkeys(("beside", "x", "gates"), BRAIN), "out": "*fp8e4nv", "scales": SINGLE}
TYPES_OF_FP8 |= dict.fromkeys(("least", "largest"), "fp32")
FIRST_WITH_FP8 = 89
TYPES_OF_INT8 = {**dict.fromkeys(("x", "scales", "bias", "out"), BRAIN), "weight": "*i8"}
CONSTANTS_OF_INT8 = {"BIAS": True, "ROWS": int8_kernel.ROWS, "COLUMNS": int8_kernel.COLUMNS}
WHOLE_ROW = {"ADDED": True, "ADDED_NORM": True, "GATE": True, "WEIGHT": True, "SCALE": True, "SHIFT": True}
CONSTANTS_OF_TRANSFORMERS: dict[str, dict[str, Any]] = {
    "_modulated": {**WHOLE_ROW, "NORM": transformer_kernels.ROOT, "WIDTH": 4096},
    "_turned": {"HEADS": 32, "WIDTH": 128},
    "_gated": {"PIECE": transformer_kernels.PIECE},
}


def main(architecture: int) -> None:
    """Compiles all kernels that a GPU of compute capability `architecture` would run."""
    for name, constants in CONSTANTS.items():
        _compile(getattr(fused_kernels, name), architecture, TYPES, constants)
    for name, constants in CONSTANTS_OF_TRANSFORMERS.items():
        _compile(getattr(transformer_kernels, name), architecture, TYPES_OF_TRANSFORMERS, constants)
    _compile(int8_kernel._product, architecture, TYPES_OF_INT8, CONSTANTS_OF_INT8)
    if architecture >= FIRST_WITH_FP8:
        for kind in (fp8_kernel.AS_THEY_ARE, fp8_kernel.GELU, fp8_kernel.GATED):
            constants = {"BESIDE": True, "KIND": kind, "WIDTH": 16384}
            _compile(fp8_kernel._in_fp8, architecture, TYPES_OF_FP8, constants)
    if architecture // 10 >= gated_product.HOPPER:
        rows, columns, depth = gated_product.ROWS, gated_product.COLUMNS, gated_product.DEPTH
        pieces = {
            "x": f"tensordesc<fp16[{rows},{depth}]>",
            "weight": f"tensordesc<fp16[2,{columns},{depth}]>",
            "out": f"tensordesc<fp16[{rows},{columns}]>",
        }
        constants = {"ROWS": rows, "COLUMNS": columns, "DEPTH": depth, "TOGETHER": gated_product.TOGETHER}
        options = {"num_stages": gated_product.STAGES, "num_warps": gated_product.WARPS}
        _compile(gated_product._gated_product, architecture, {**TYPES, **pieces}, constants, options)


def _compile(
    kernel: Any, architecture: int, types: dict[str, str], constants: dict[str, Any], options: Any = None
) -> None:
    arguments = {name: "constexpr" if name in constants else types.get(name, WHOLE) for name in kernel.arg_names}
    places = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    source = ASTSource(fn=kernel, signature=arguments, constexprs=places)
    triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        main(int(argument))
