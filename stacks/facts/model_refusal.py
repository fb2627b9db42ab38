"""Whether a model fits a machine: its GPU's memory, and its disk. Asked before anything is created."""

from __future__ import annotations

import math

from stacks.facts.instance_types import (
    B200,
    B300,
    H100,
    H200,
    INSTANCE_TYPES,
    RTX_PRO_4500,
    RTX_PRO_6000,
    InstanceType,
    smallest_with,
)
from userdata.bill.units import GIB
from userdata.contract.catalogue import FULL, Model
from userdata.contract.compvis import COMPVIS

# What the image's snapshot and the environment `ldm` take; the image says what it needs, the rest is an estimate.
IMAGE_GIB = 75
ENVIRONMENT_GIB = 10
# Compute capability 9 and later: torch 1.11 was built for CUDA 11.3, which ends at 8.6 and what is compatible with it.
TOO_NEW = (RTX_PRO_4500, RTX_PRO_6000, H100, H200, B200, B300)
# Weights below this fit beside them in any VolumeSize, since the snapshot is not full.
LARGE_GIB = 10


def too_new_for_the_original() -> list[str]:
    """The types with a card that torch 1.11, in the original scripts' environment, has no kernels for."""
    return [one.name for one in INSTANCE_TYPES.values() if one.gpu in TOO_NEW]


ENGINE_WORDS = (
    "Engine=compvis runs PyTorch of 2022, which knows no card later than those of G6e: choose for example g6.xlarge."
)


def refusal(
    model: Model,
    *,
    instance_type: str,
    volume_size: int,
    engine: str = "diffusers",
    precision: str = "autocast",
    second_pass_pixels: int = 0,
) -> str | None:
    """Why `model` cannot be drawn with on this machine and which is the smallest that can; None when it can.

    None also for what only the deployed machine can tell: somebody's own model, and a type that is not in the table.
    """
    known = INSTANCE_TYPES.get(instance_type)
    need = model.memory_need(precision, second_pass_pixels)
    if known and not known.gpu.bfloat16 and model.needs_bfloat16(precision):
        return f"InstanceType is {instance_type!r}, whose card is a {known.gpu.name}. {number_words(model)}"
    if need and known and known.gpu.memory_gib < need:
        words = memory_words(model, precision, second_pass_pixels)
        return f"InstanceType is {instance_type!r}, whose {known.gpu.name} is too small. {words}"
    if engine == COMPVIS and instance_type in too_new_for_the_original():
        return f"InstanceType is {instance_type!r}. {ENGINE_WORDS}"
    if volume_size < volume_need_gib(model):
        return f"VolumeSize is {volume_size}. {disk_words(model)}"
    return None


def volume_need_gib(model: Model) -> int:
    """The smallest VolumeSize, in GiB, that holds the image, the environment and large weights; else 0."""
    weights = math.ceil(model.bytes / GIB)
    return IMAGE_GIB + ENVIRONMENT_GIB + weights if weights > LARGE_GIB else 0


def memory_words(model: Model, precision: str = "autocast", second_pass_pixels: int = 0) -> str:
    """That a card is too small for `model` in this precision, and the smallest type that is not."""
    need = model.memory_need(precision, second_pass_pixels)
    assert need
    smallest = smallest_type(model, precision, second_pass_pixels)
    way_out = f"choose at least {smallest.name} ({smallest.gpu.name})" if smallest else "no type has that much"
    title = f"{model.title} with Precision={FULL}" if precision == FULL else model.title
    title += " and a second pass of that size" if second_pass_pixels else ""
    return f"{title} needs {need:g} GiB of GPU memory: {way_out}."


def smallest_type(model: Model, precision: str = "autocast", second_pass_pixels: int = 0) -> InstanceType | None:
    """The smallest type that `model` can be drawn with in this precision; None when there is none."""
    need = model.memory_need(precision, second_pass_pixels) or 0
    return smallest_with(need, bfloat16=model.needs_bfloat16(precision))


def number_words(model: Model) -> str:
    """That a card has not the numbers that `model` is computed in, and the smallest type that has."""
    smallest = smallest_type(model)
    way_out = f"choose at least {smallest.name} ({smallest.gpu.name})" if smallest else "no type has them"
    return (
        f"{model.title} computes in bfloat16, which the T4 does not have, and in float16 its images would be black: "
        f"{way_out}."
    )


def licence_words(model: Model) -> str:
    """What the restrictive licence of `model` forbids, and how a person says that this is known."""
    return (
        f"{model.title} is under the licence {model.licence}, which {model.forbids}. Read it at {model.page}, then say "
        f"so: AcceptLicence={model.name}."
    )


def disk_words(model: Model) -> str:
    """That a disk is too small for `model`, and the smallest that is not."""
    need = volume_need_gib(model)
    return f"{model.title} has {model.bytes / 1e9:.1f} GB of weights: choose a VolumeSize of at least {need}."
