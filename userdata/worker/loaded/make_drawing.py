"""Makes the drawing of a run, and all that it draws with: device, model, LoRAs, safety checker, last image steps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from userdata.bill.units import GIB
from userdata.contract.catalogue import OFF, Model, find_model
from userdata.contract.companion_files import listed_embeddings
from userdata.contract.lora_list import listed_loras
from userdata.job.choices import Engine, Quantize, SafetyChecker, Switch
from userdata.job.job import Job
from userdata.job.quantization import choose_type, why_chosen, why_not_card
from userdata.job.run_error import RunError
from userdata.worker.between.task import Task
from userdata.worker.compvis.drawing import CompvisDrawing
from userdata.worker.drawing.drawing import Drawing
from userdata.worker.drawing.drawing_hooks import DrawingHooks, ImageStep
from userdata.worker.drawing.safety_classifier import SafetyClassifier
from userdata.worker.drawing.tell_of_prompts import tell_of_syntax, tell_what_is_cut
from userdata.worker.drawing.withheld import withheld
from userdata.worker.loaded.loaded_model import LoadedModel
from userdata.worker.loaded.model_ahead import ModelAhead
from userdata.worker.model.device import choose_device, device_name
from userdata.worker.model.lora import check_lora
from userdata.worker.model.memory_check import check_memory
from userdata.worker.model.pipeline import load_pipeline
from userdata.worker.model.size_warning import warn_of_small_size
from userdata.worker.process.settings import Settings

logger = logging.getLogger(__name__)


def make_drawing(settings: Settings, task: Task, loaded: LoadedModel | None) -> Drawing | CompvisDrawing:
    """The drawing of `task` with the model `loaded`, None for the original scripts, which load it themselves.

    Raises `RunError` when something is missing, broken or does not fit.
    """
    job, missing = task.job, task.missing
    device = choose_device(settings.device)
    checker = _checker_file(settings, job)
    if loaded:
        flags_of = loaded.checker(checker)
    else:
        flags_of = SafetyClassifier(checker, device=device).flags if checker else None
    hooks = DrawingHooks(
        task.save,
        image_steps=_image_steps(job),
        begin_batch=task.begin_batch,
        leave_if_asked=task.leave_if_asked,
        estimate=task.estimate,
        flags_of=flags_of,
    )
    tell_of_syntax(job, missing)
    if loaded is None:
        return CompvisDrawing(settings, job, missing, initial_image=task.initial_image, device=device, hooks=hooks)
    pipeline = loaded.pipeline(from_image=task.initial_image is not None)
    loras = loaded.loras(_lora_files(settings, job), missing)
    warn_of_small_size(find_model(job.model), settings.model_folder, job)
    tell_what_is_cut(pipeline, missing)
    return Drawing(
        pipeline,
        job,
        missing,
        total=task.total,
        beside=task.beside,
        initial_image=task.initial_image,
        hooks=hooks,
        loras=loras,
        prepared=loaded.prepared,
    )


def load_model(settings: Settings, job: Job, ahead: ModelAhead, *, stays: bool) -> LoadedModel:
    """The model of `job`. Raises `RunError` when it is missing, broken or does not fit.

    Checks first what can be checked without loading the model. `ahead` has begun to load it.
    """
    device = choose_device(settings.device)
    _lora_files(settings, job)
    _checker_file(settings, job)
    model = find_model(job.model)
    precision = str(job.precision)
    kept = _kept_in(model, job, device)
    check_memory(
        model,
        settings.model_folder,
        device,
        instance_type=settings.instance_type,
        precision=precision,
        second_pass_pixels=job.second_pass_pixels,
        kept=kept,
    )
    pipeline = load_pipeline(
        settings.model_folder,
        layout=model.layout,
        device=device,
        from_image=False,
        precision=precision,
        prediction=str(job.prediction),
        vae=_vae_file(settings, job),
        embeddings=_embedding_files(settings, job),
        loras=model.lora_places(settings.model_folder),
        tensors=ahead.tensors(),
        kept=kept,
    )
    return LoadedModel(pipeline, stays=stays)


def _kept_in(model: Model, job: Job, device: torch.device) -> str:
    """The type that the weights are kept in on this machine's card, which `log.txt` names where it is not their own.

    A CPU takes the machine's memory, and computes with any type. Raises `RunError` for a type that the card cannot
    compute with.
    """
    if device.type != "cuda":
        return OFF if job.quantize == Quantize.auto else str(job.quantize)
    card, has = device_name(device), torch.cuda.get_device_properties(device)
    memory_gib, capability = has.total_memory / GIB, (has.major, has.minor)
    kept = choose_type(
        model,
        str(job.quantize),
        precision=str(job.precision),
        lora=bool(job.lora),
        memory_gib=memory_gib,
        capability=capability,
    )
    if why_not := why_not_card(kept, card, capability):
        raise RunError(f"{model.title} cannot be kept in {kept}, because {why_not}.")
    if kept != OFF:
        logger.info("%s", why_chosen(model, kept, str(job.quantize), card=card, memory_gib=memory_gib))
    return kept


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


def _checker_file(settings: Settings, job: Job) -> Path | None:
    if not job.checked_for_safety:
        return None
    if settings.safety_checker is None:
        raise RunError(
            "The safety checker was not fetched by the boot. Start the instance again, or deploy with "
            "SafetyChecker=off."
        )
    return settings.safety_checker


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
