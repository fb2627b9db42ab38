"""What a run draws with: the device, the model with its LoRA, the safety checker, and what finishes an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from diffusers import DiffusionPipeline

from userdata.contract.catalogue import find_model, lora_parts
from userdata.job.choices import Engine, SafetyChecker, Switch
from userdata.job.job import Job
from userdata.job.run_error import RunError
from userdata.worker.drawing.drawing_hooks import ImageStep
from userdata.worker.drawing.generate import FlagsOf
from userdata.worker.drawing.safety_checker import SafetyChecker as Checker
from userdata.worker.drawing.withheld import withheld
from userdata.worker.model.device import choose_device
from userdata.worker.model.lora import Lora, check_lora, merge_lora
from userdata.worker.model.memory_check import check_memory
from userdata.worker.model.pipeline import load_pipeline
from userdata.worker.model.size_warning import warn_of_small_size
from userdata.worker.process.settings import Settings
from userdata.worker.run.model_ahead import ModelAhead


@dataclass(frozen=True)
class Equipment:
    """`flags_of` is None where no image is looked at; `image_steps` are done to each image in their order."""

    device: torch.device
    flags_of: FlagsOf | None
    image_steps: Sequence[ImageStep]


def equip(settings: Settings, job: Job) -> Equipment:
    """Everything but the model. Raises `RunError` when something is missing or broken."""
    device = choose_device(settings.device)
    return Equipment(device, _flags_of(settings, job, device), list(_image_steps(job)))


def load_model(settings: Settings, job: Job, device: torch.device, ahead: ModelAhead) -> DiffusionPipeline:
    """The model of `job` with its LoRA, on `device`. Raises `RunError` when one is missing, broken or does not fit.

    What can be found wrong without loading the model is found first. `ahead` has begun to load it.
    """
    lora = _lora(settings, job)
    if lora:
        check_lora(lora)
    model = find_model(job.model)
    precision = str(job.precision)
    check_memory(model, settings.model_folder, device, instance_type=settings.instance_type, precision=precision)
    warn_of_small_size(model, settings.model_folder, job)
    pipeline = load_pipeline(
        settings.model_folder,
        layout=model.layout,
        device=device,
        from_image=job.from_image,
        precision=precision,
        tensors=ahead.tensors(),
    )
    if lora:
        merge_lora(pipeline, lora)
    return pipeline


def _lora(settings: Settings, job: Job) -> Lora | None:
    if not job.lora:
        return None
    if settings.lora_file is None:
        raise RunError(f"The LoRA {job.lora} was not fetched by the boot. Start the instance again.")
    return Lora(settings.lora_file, lora_parts(job.lora)[1])


def _flags_of(settings: Settings, job: Job, device: torch.device) -> FlagsOf | None:
    if not job.checked_for_safety:
        return None
    if settings.safety_checker is None:
        raise RunError(
            "The safety checker was not fetched by the boot. Start the instance again, or deploy with "
            "SafetyChecker=off."
        )
    return Checker(settings.safety_checker, device=device).flags


def _image_steps(job: Job) -> Sequence[ImageStep]:
    steps: list[ImageStep] = []
    # The original txt2img.py has put it in already; img2img.py never does.
    has_one = job.engine == Engine.compvis and not job.from_image
    if job.watermark == Switch.on and not has_one:
        # Imported here, since its libraries take a second that only runs with a watermark should wait for.
        from userdata.worker.drawing.watermark import with_watermark

        steps.append(lambda drawn: replace(drawn, image=with_watermark(drawn.image)))
    if job.safety_checker == SafetyChecker.withhold:
        steps.append(lambda drawn: replace(drawn, image=withheld(drawn.image.size)) if drawn.flagged else drawn)
    return steps
