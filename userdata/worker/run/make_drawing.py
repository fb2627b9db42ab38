"""Makes the drawing of a run, and all that it draws with: device, model, LoRAs, safety checker, last image steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from userdata.contract.catalogue import find_model
from userdata.contract.companion_files import listed_embeddings
from userdata.contract.lora_list import listed_loras
from userdata.job.choices import Engine, SafetyChecker, Switch
from userdata.job.image_request import ImageRequest
from userdata.job.job import Job
from userdata.job.run_error import RunError
from userdata.worker.compvis.drawing import CompvisDrawing
from userdata.worker.drawing.cut_prompts import tell_of_cut_prompts
from userdata.worker.drawing.drawing import Drawing
from userdata.worker.drawing.drawing_hooks import DrawingHooks, ImageStep
from userdata.worker.drawing.generate import FlagsOf
from userdata.worker.drawing.pending_batch import DrawnImage
from userdata.worker.drawing.safety_classifier import SafetyClassifier
from userdata.worker.drawing.withheld import withheld
from userdata.worker.model.device import choose_device
from userdata.worker.model.lora import Loras, check_lora, want_different_loras
from userdata.worker.model.memory_check import check_memory
from userdata.worker.model.pipeline import load_pipeline
from userdata.worker.model.size_warning import warn_of_small_size
from userdata.worker.process.settings import Settings
from userdata.worker.run.limits import Limits
from userdata.worker.run.model_ahead import ModelAhead
from userdata.worker.run.run_request import RunRequest


def make_drawing(
    settings: Settings,
    request: RunRequest,
    missing: Sequence[ImageRequest],
    ahead: ModelAhead | None,
    *,
    limits: Limits,
    save: Callable[[DrawnImage], None],
    estimate: Callable[[float], None],
) -> Drawing | CompvisDrawing:
    """The drawing of `missing`, the images of `request` that are not there yet. Raises `RunError`.

    `ahead` has begun to load the model; it is None for the original scripts, which load the model themselves. `save`
    and `estimate` are two of the `DrawingHooks`.
    """
    job = request.job
    device = choose_device(settings.device)
    hooks = DrawingHooks(
        save,
        image_steps=_image_steps(job),
        begin_batch=limits.before_batch,
        leave_if_asked=limits.leave_if_asked,
        estimate=estimate,
        flags_of=_flags_of(settings, job, device),
    )
    initial_image = request.initial_image.image if request.initial_image else None
    if ahead is None:
        return CompvisDrawing(settings, job, missing, initial_image=initial_image, device=device, hooks=hooks)
    files = _lora_files(settings, job)
    pipeline = load_model(settings, job, device, ahead)
    loras = Loras(pipeline, files, restorable=want_different_loras(missing)) if files else None
    tell_of_cut_prompts(pipeline, missing)
    return Drawing(
        pipeline, job, missing, total=len(request.images), initial_image=initial_image, hooks=hooks, loras=loras
    )


def load_model(settings: Settings, job: Job, device: torch.device, ahead: ModelAhead) -> DiffusionPipeline:
    """The model of `job` on `device`. Raises `RunError` when one is missing, broken or does not fit.

    Checks first what can be checked without loading the model. `ahead` has begun to load it.
    """
    model = find_model(job.model)
    precision = str(job.precision)
    check_memory(model, settings.model_folder, device, instance_type=settings.instance_type, precision=precision)
    warn_of_small_size(model, settings.model_folder, job)
    return load_pipeline(
        settings.model_folder,
        layout=model.layout,
        device=device,
        from_image=job.from_image,
        precision=precision,
        prediction=str(job.prediction),
        vae=_vae_file(settings, job),
        embeddings=_embedding_files(settings, job),
        tensors=ahead.tensors(),
    )


def _lora_files(settings: Settings, job: Job) -> dict[str, Path]:
    """The files of the job's LoRAs by their names. Raises `RunError` when one was not fetched, or is no LoRA."""
    listed, files = listed_loras(job.lora), settings.lora_files or ()
    if len(listed) != len(files):
        raise RunError(f"The LoRAs {job.lora} were not all fetched by the boot. Start the instance again.")
    for file in files:
        check_lora(file)
    return {lora.name: file for lora, file in zip(listed, files, strict=True)}


def _vae_file(settings: Settings, job: Job) -> Path | None:
    if job.vae and settings.vae_file is None:
        raise RunError(f"The VAE {job.vae} was not fetched by the boot. Start the instance again.")
    return settings.vae_file if job.vae else None


def _embedding_files(settings: Settings, job: Job) -> dict[str, Path]:
    """The files of the job's embeddings by their names. Raises `RunError` when one was not fetched."""
    listed, files = listed_embeddings(job.embeddings), settings.embedding_files or ()
    if len(listed) != len(files):
        raise RunError(f"The embeddings {job.embeddings} were not all fetched by the boot. Start the instance again.")
    return {one.name: file for one, file in zip(listed, files, strict=True)}


def _flags_of(settings: Settings, job: Job, device: torch.device) -> FlagsOf | None:
    if not job.checked_for_safety:
        return None
    if settings.safety_checker is None:
        raise RunError(
            "The safety checker was not fetched by the boot. Start the instance again, or deploy with "
            "SafetyChecker=off."
        )
    return SafetyClassifier(settings.safety_checker, device=device).flags


def _image_steps(job: Job) -> Sequence[ImageStep]:
    steps: list[ImageStep] = []
    # The original txt2img.py has written the watermark already; img2img.py never does.
    has_one = job.engine == Engine.compvis and not job.from_image
    if job.watermark == Switch.on and not has_one:
        # Imported here, because only runs with a watermark should wait the second that its libraries take.
        from userdata.worker.drawing.watermark import with_watermark

        steps.append(lambda drawn: replace(drawn, image=with_watermark(drawn.image)))
    if job.safety_checker == SafetyChecker.withhold:
        steps.append(lambda drawn: replace(drawn, image=withheld(drawn.image.size)) if drawn.flagged else drawn)
    return steps
