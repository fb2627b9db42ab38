"""What a job may not ask of its model, told before anything is created.

`sd` and the worker ask of a job, and the template's rules of a deploy's parameters, by the same table.
"""

from __future__ import annotations

from typing import NamedTuple

from userdata.contract.catalogue import Model, find_model
from userdata.job.choices import Precision, Prediction, Quantize
from userdata.job.job_fields import JobFields

# FLUX.2's autoencoder has another shape than every VAE that people exchange.
OF_A_VAE_OF_ITS_OWN = frozenset({"Flux2KleinPipeline"})
# The pipelines that draw within a mask, and a second time. A person's own checkpoint has none yet, and will have one of
# these.
ABLE = frozenset({None, "StableDiffusionPipeline", "StableDiffusionXLPipeline"})
_UNGUIDED = "was distilled to draw without guidance"
_OTHER_MODEL = "or choose another Model, for example z-image or sdxl-base"
# The fields whose values are words or numbers of ours, and so short enough to be shown.
_SHOWN = frozenset({"sampler", "prediction", "upscale"})


class Limit(NamedTuple):
    """The only values that a model takes of a parameter, and why, with the way out."""

    allowed: tuple[str, ...]
    words: str


def limits(model: Model) -> dict[str, Limit]:
    """What `model` takes less of than other models do, by the fields of a job."""
    found: dict[str, Limit] = {}
    if model.samplers:
        only = f"{model.title} samples with {' or '.join(model.samplers)} only"
        found["sampler"] = Limit(
            ("", *model.samplers), f"{only}: leave Sampler empty, or for example {model.samplers[0]}"
        )
    if not model.guided:
        reads_none = f"{model.title} {_UNGUIDED}, and reads none"
        found["negative_prompt"] = Limit(("",), f"{reads_none}: leave it out, {_OTHER_MODEL}")
    if not model.image_to_image:
        found["init_img"] = Limit(
            ("",),
            f"{model.title} starts from noise only: leave InitImage out, or choose another Model, for example "
            "z-image-turbo or sdxl-base",
        )
    unknown = Limit(("",), f"{model.title} does not know it: leave it out, or choose another Model")
    if model.of_transformers:
        found["embeddings"] = unknown
        found["prediction"] = unknown._replace(allowed=(str(Prediction.auto),))
    if model.pipeline in OF_A_VAE_OF_ITS_OWN:
        found["vae"] = unknown
    if model.pipeline not in ABLE:
        once = (
            f"{model.title} draws as a whole and once only: leave it out, or take a Model of Stable Diffusion 1 or XL"
        )
        found["init_mask"] = Limit(("",), once)
        found["upscale"] = Limit(("1",), once)
    return found


def why_not_model(job: JobFields) -> str | None:
    """The first rule of its model that `job` breaks, with the way out; None when it breaks none."""
    model = find_model(job.model)
    for name, limit in limits(model).items():
        value = str(getattr(job, name)).strip()
        if value not in limit.allowed:
            alias = JobFields.model_fields[name].alias
            return f"{alias} is {value if name in _SHOWN else 'given'}, but {limit.words}"
    if not model.guided and job.scale > 1:
        return f"GuidanceScale is {job.scale:g}, but {model.title} {_UNGUIDED}: leave it out, {_OTHER_MODEL}"
    return _why_not_quantized(job, model) if job.quantize not in (Quantize.auto, Quantize.off) else None


def _why_not_quantized(job: JobFields, model: Model) -> str | None:
    given = f"Quantize is {job.quantize!s}"
    if not model.quantized_gib:
        return (
            f"{given}, but the weights of {job.model} stay as they are, because a U-Net is small, and half of its "
            "work is in convolutions, which none of these types is for: leave Quantize out, or choose another Model, "
            "for example z-image-turbo"
        )
    if job.precision == Precision.full:
        return f"{given}, but Precision=full asks for the model's own numbers: leave one of the two out"
    if job.lora:
        return (
            f"{given} and Lora is given, but a LoRA can only be merged into the model's own weights: leave one of the "
            "two out"
        )
    return None
