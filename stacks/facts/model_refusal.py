"""Whether a model fits a machine: its GPU's memory, and its disk. Asked before anything is created."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stacks.facts.instance_types import (
    B200,
    B300,
    H100,
    H200,
    INSTANCE_TYPES,
    RTX_PRO_4500,
    RTX_PRO_6000,
    Gpu,
    InstanceType,
)
from userdata.bill.units import GIB
from userdata.contract.catalogue import FULL, OFF, Model, read_catalogue
from userdata.contract.compvis import COMPVIS
from userdata.job.choices import Quantize
from userdata.job.quantization import choose_type, why_chosen, why_not_card

if TYPE_CHECKING:
    from userdata.job.job_fields import JobFields

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


@dataclass(frozen=True)
class Ways:
    """What of a job decides which cards its model fits; as in the job. `lora` says whether it has any."""

    precision: str = "autocast"
    quantize: str = Quantize.auto
    lora: bool = False
    second_pass_pixels: int = 0

    def kept_on(self, model: Model, gpu: Gpu) -> str:
        """The type that the weights of `model` are kept in on that card."""
        return choose_type(
            model,
            self.quantize,
            precision=self.precision,
            lora=self.lora,
            memory_gib=gpu.memory_gib,
            capability=gpu.capability,
        )

    def need_gib(self, model: Model, kept: str) -> float:
        """GiB of GPU memory, 0 where only the machine can tell."""
        return model.memory_need(self.precision, self.second_pass_pixels, kept) or 0

    def fit(self, model: Model, gpu: Gpu) -> bool:
        """Whether the card holds `model`, and computes in its numbers."""
        kept = self.kept_on(model, gpu)
        computes = gpu.bfloat16 or not model.needs_bfloat16(self.precision)
        can = computes and why_not_card(kept, gpu.name, gpu.capability) is None
        return can and self.need_gib(model, kept) <= gpu.memory_gib

    def why_not(self, model: Model, gpu: Gpu) -> str | None:
        """Why `model` cannot be drawn with on that card, and the smallest type that can; None when it can."""
        if self.fit(model, gpu):
            return None
        if not gpu.bfloat16 and model.needs_bfloat16(self.precision):
            return number_words(model, self)
        kept = self.kept_on(model, gpu)
        if why := why_not_card(kept, gpu.name, gpu.capability):
            return f"{model.title} cannot be kept in {kept}, because {why}."
        return memory_words(model, self, kept)


AS_USUAL = Ways()


def ways_of(job: JobFields) -> Ways:
    """What of `job` decides it."""
    return Ways(str(job.precision), str(job.quantize), bool(job.lora), job.second_pass_pixels)


def refusal(
    model: Model, *, instance_type: str, volume_size: int, engine: str = "diffusers", ways: Ways = AS_USUAL
) -> str | None:
    """Why `model` cannot be drawn with on this machine and which is the smallest that can; None when it can.

    None also for what only the deployed machine can tell: somebody's own model, and a type that is not in the table.
    """
    known = INSTANCE_TYPES.get(instance_type)
    if known and (why := ways.why_not(model, known.gpu)):
        return f"InstanceType is {instance_type!r}, whose card is the {known.gpu.name}. {why}"
    if engine == COMPVIS and instance_type in too_new_for_the_original():
        return f"InstanceType is {instance_type!r}. {ENGINE_WORDS}"
    if volume_size < volume_need_gib(model):
        return f"VolumeSize is {volume_size}. {disk_words(model)}"
    return None


def kept_words(model: Model, instance_type: str, ways: Ways) -> str | None:
    """In which type the weights of `model` are kept there, and why; None for their own, and for an unknown type."""
    known = INSTANCE_TYPES.get(instance_type)
    kept = ways.kept_on(model, known.gpu) if known else OFF
    if known is None or kept == OFF:
        return None
    return why_chosen(model, kept, ways.quantize, card=known.gpu.name, memory_gib=known.gpu.memory_gib)


def volume_need_gib(model: Model) -> int:
    """The smallest VolumeSize, in GiB, that holds the image, the environment and large weights; else 0."""
    weights = math.ceil(model.bytes / GIB)
    return IMAGE_GIB + ENVIRONMENT_GIB + weights if weights > LARGE_GIB else 0


def memory_words(model: Model, ways: Ways, kept: str = OFF) -> str:
    """That a card is too small for `model`, kept in that type, and the smallest type that is not."""
    smallest = smallest_type(model, ways)
    way_out = f"choose at least {smallest.name} ({smallest.gpu.name})" if smallest else "no type has that much"
    title = f"{model.title} with Precision={FULL}" if ways.precision == FULL else model.title
    if model.quantized_gib and ways.precision != FULL:
        why = " because of its LoRA" if ways.lora else ""
        title += f" with Quantize={kept}{why}"
    title += " and a second pass of that size" if ways.second_pass_pixels else ""
    return f"{title} needs {ways.need_gib(model, kept):g} GiB of GPU memory: {way_out}."


def smallest_type(model: Model, ways: Ways = AS_USUAL) -> InstanceType | None:
    """The type with the fewest vCPUs, then the smallest card, that `model` can be drawn with; None without one."""
    fitting = [one for one in INSTANCE_TYPES.values() if ways.fit(model, one.gpu)]
    return min(fitting, key=lambda one: (one.vcpus, one.gpu.memory_gib), default=None)


def number_words(model: Model, ways: Ways) -> str:
    """That a card has not the numbers that `model` is computed in, and the smallest type that draws it in that way."""
    smallest = smallest_type(model, ways)
    way_out = f"choose at least {smallest.name} ({smallest.gpu.name})" if smallest else "no type has them"
    return (
        f"{model.title} computes in bfloat16, which the T4 does not have, and in float16 its images would be black: "
        f"{way_out}."
    )


def restricted(model: Model) -> Model | None:
    """The catalogue's model of a restrictive licence that `model` is, also by its place on the hub; else None."""
    of_the_hub = (model.repository or "").lower()
    listed = (one for one in read_catalogue().values() if one.forbids and one.repository)
    return next((one for one in listed if str(one.repository).lower() == of_the_hub), None)


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
