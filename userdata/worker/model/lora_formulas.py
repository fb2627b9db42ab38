"""The formulas by which the small tensors of a LoRA file make the change of one weight.

A layer's tensors are named as `lora_keys` does, whatever the trainer called them. The formulas are those of the papers
and of the trainers that write such files: LoRA (arXiv:2106.09685), DoRA (arXiv:2402.09353), and LoHa, LoKr and the
Tucker cores of convolutions (LyCORIS, arXiv:2309.14859). Rejected: the library lycoris-lora, which has these formulas
among forty thousand lines, but not the names of diffusers' and PEFT's files; and diffusers with PEFT, which give every
layer of a file one alpha and leave out what they do not know.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Parts = Mapping[str, Tensor]

_LORA = {"down", "up"}
_LOHA = {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}
# The parts of each formula, but for an alpha and DoRA's lengths, which any may have.
_FORMULAS = (
    {"diff"},
    _LORA,
    _LORA | {"mid"},
    _LOHA,
    _LOHA | {"hada_t1", "hada_t2"},
    *(
        first | second
        for first in ({"lokr_w1"}, {"lokr_w1_a", "lokr_w1_b"})
        for second in ({"lokr_w2"}, {"lokr_w2_a", "lokr_w2_b"}, {"lokr_w2_a", "lokr_w2_b", "lokr_t2"})
    ),
)


def change_of(parts: Parts, weight: Tensor, *, scale: float | None = None) -> Tensor:
    """The whole change that the `parts` of a layer make to `weight`, in single precision and of that shape.

    `scale` is what the file says of the layer beside its tensors; otherwise it is alpha / rank, and 1 without an alpha.
    Raises `ValueError` for parts that are no formula's, and `ValueError` or `RuntimeError` for shapes that do not fit.
    """
    if set(parts) - {"alpha", "dora_scale", "magnitude"} not in _FORMULAS:
        raise ValueError(f"{', '.join(parts)} are the parts of no formula")
    product, rank = _product({name: part.float() for name, part in parts.items()})
    if scale is None:
        scale = float(parts["alpha"]) / rank if rank and "alpha" in parts else 1.0
    if product.reshape(len(product), -1).shape != weight.reshape(len(weight), -1).shape:
        raise ValueError(f"it changes {list(product.shape)} numbers, the model has {list(weight.shape)}")
    change = (product * scale).reshape(weight.shape)
    if "dora_scale" in parts or "magnitude" in parts:
        change = _of_length(weight.float() + change, parts) - weight.float()
    return change


def changes_nothing(parts: Parts) -> bool:
    """Whether `parts` make no change of any weight. With lengths of its own, a layer changes its weight."""
    lengths = "dora_scale" in parts or "magnitude" in parts
    return not lengths and not bool(_product({name: part.float() for name, part in parts.items()})[0].any())


def _product(parts: Parts) -> tuple[Tensor, int | None]:
    """What the formula of `parts` makes of them, and the rank that their alpha is divided by."""
    if "diff" in parts:
        return parts["diff"], None
    if "hada_w1_a" in parts:
        return _half(parts, "hada_w1", "hada_t1") * _half(parts, "hada_w2", "hada_t2"), len(parts["hada_w1_b"])
    if "lokr_w1" in parts or "lokr_w1_a" in parts:
        first = parts["lokr_w1"] if "lokr_w1" in parts else _half(parts, "lokr_w1", "")
        second = parts["lokr_w2"] if "lokr_w2" in parts else _half(parts, "lokr_w2", "lokr_t2")
        first = first.reshape(*first.shape, *[1] * (second.dim() - first.dim()))
        ranks = [len(parts[name]) for name in ("lokr_w1_b", "lokr_w2_b") if name in parts]
        return torch.kron(first, second.contiguous()), ranks[0] if ranks else None
    up, down = parts["up"], parts["down"]
    if "mid" in parts:
        return torch.einsum("rs...,or,si->oi...", parts["mid"], up.flatten(1), down.flatten(1)), len(down)
    return up.flatten(1) @ down.flatten(1), len(down)


def _half(parts: Parts, name: str, core: str) -> Tensor:
    """The product of two matrices, or of two matrices and the Tucker core between them."""
    a, b = parts[f"{name}_a"], parts[f"{name}_b"]
    if core in parts:
        return torch.einsum("rs...,ro,si->oi...", parts[core], a, b)
    return (a @ b.flatten(1)).reshape(len(a), *b.shape[1:])


def _of_length(direction: Tensor, parts: Parts) -> Tensor:
    """DoRA: each vector of `direction` gets the length that was learned for it.

    PEFT's magnitudes are those of the rows, which are a weight's outputs. LyCORIS and kohya's trainer write lengths of
    rows or of columns, which the shape tells.
    """
    lengths = parts["magnitude"].float().flatten() if "magnitude" in parts else parts["dora_scale"].float()
    of_columns = lengths.dim() > 1 and len(lengths) == 1 and direction.shape[1] == lengths.numel()
    axis = 1 if of_columns else 0
    shape = [1] * direction.dim()
    shape[axis] = direction.shape[axis]
    others = [dimension for dimension in range(direction.dim()) if dimension != axis]
    norms: Tensor = torch.linalg.vector_norm(direction, dim=others, keepdim=True)
    return direction * (lengths.reshape(shape) / norms)
