"""The words that a parameter may be."""

from __future__ import annotations

from enum import Enum, StrEnum

from userdata.job.sampler_names import NAMES

Sampler = Enum(  # type: ignore[misc]  # mypy wants literal members; the names are the values
    "Sampler",
    {name: name for name in NAMES},
    type=str,
)


class Switch(StrEnum):
    """`on` or `off`, because CloudFormation's parameters have no truth values."""

    on = "on"
    off = "off"


class Engine(StrEnum):
    """What draws: the worker's own pipelines, or the original scripts in their own environment."""

    diffusers = "diffusers"
    compvis = "compvis"


class SafetyChecker(StrEnum):
    """What becomes of an image that the safety checker flags; with off, no image is checked."""

    mark = "mark"
    withhold = "withhold"
    off = "off"


class Precision(StrEnum):
    """The original's --precision: half precision where the device has it, or single precision throughout."""

    autocast = "autocast"
    full = "full"


class Quantize(StrEnum):
    """The type in which the weights of a transformer's blocks are kept on the card; auto chooses by model and card."""

    auto = "auto"
    off = "off"
    int8 = "int8"
    fp8 = "fp8"
    nf4 = "nf4"


class Prediction(StrEnum):
    """What the model predicts: the noise (epsilon), or the velocity (v), and that one with zero terminal SNR or not.

    One list, because zero terminal SNR without v is no model: the noise says nothing of the picture in pure noise.
    """

    auto = "auto"
    epsilon = "epsilon"
    v = "v"
    v_ztsnr = "v_ztsnr"
