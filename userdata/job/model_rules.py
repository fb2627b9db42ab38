"""What a job may not ask of its model, told before anything is created."""

from __future__ import annotations

from userdata.contract.catalogue import Model, find_model
from userdata.job.choices import Precision, Prediction, Quantize
from userdata.job.job_fields import JobFields

# FLUX.2's autoencoder has another shape than every VAE that people exchange.
OF_A_VAE_OF_ITS_OWN = frozenset({"Flux2KleinPipeline"})


def why_not_model(job: JobFields) -> str | None:
    """The first rule of its model that `job` breaks, with the way out; None when it breaks none."""
    model = find_model(job.model)
    if model.samplers and str(job.sampler) not in model.samplers:
        return (
            f"Sampler is {job.sampler!s}, but {model.title} samples with {' or '.join(model.samplers)} only: "
            f"leave Sampler empty, or for example {model.samplers[0]}"
        )
    if not model.guided and (reason := _why_not_guided(job, model)):
        return reason
    if job.init_img and not model.image_to_image:
        return (
            f"InitImage is given, but {model.title} starts from noise only: leave InitImage out, or choose another "
            "Model, for example z-image-turbo or sdxl-base"
        )
    unknown = {
        "Embeddings is given": model.of_transformers and job.embeddings,
        f"Prediction is {job.prediction!s}": model.of_transformers and str(job.prediction) != Prediction.auto,
        "Vae is given": model.pipeline in OF_A_VAE_OF_ITS_OWN and job.vae,
    }
    for given, is_given in unknown.items():
        if is_given:
            return f"{given}, which {model.title} does not know: leave it out, or choose another Model"
    return _why_not_quantized(job, model) if job.quantize not in (Quantize.auto, Quantize.off) else None


def _why_not_quantized(job: JobFields, model: Model) -> str | None:
    given = f"Quantize is {job.quantize!s}"
    if not model.quantized_gib:
        return (
            f"{given}, but the weights of {model.title} stay as they are, because a U-Net is small, and half of its "
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


def _why_not_guided(job: JobFields, model: Model) -> str | None:
    way_out = "or choose another Model, for example z-image or sdxl-base"
    if job.negative_prompt.strip():
        return (
            f"NegativePrompt is given, but {model.title} was distilled to draw without guidance, and reads none: leave "
            f"it out, {way_out}"
        )
    if job.scale > 1:
        return (
            f"GuidanceScale is {job.scale:g}, but {model.title} was distilled to draw without guidance: leave it out, "
            f"{way_out}"
        )
    return None
