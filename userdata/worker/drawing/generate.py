"""Draws the images of a job, batch by batch. Image k depends on the job and on k, and on nothing else."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from diffusers import DiffusionPipeline
from PIL import Image

from userdata.job.image_request import ImageRequest
from userdata.job.initial_image import fit_image
from userdata.job.job import Job
from userdata.job.run_error import RunError
from userdata.record.drawn_with import DrawnWith, Execution
from userdata.worker.drawing.pending_batch import DrawnImage, PendingBatch
from userdata.worker.drawing.samplers import make_scheduler
from userdata.worker.drawing.steps_in_flight import StepsInFlight
from userdata.worker.kernels.execution import executing

logger = logging.getLogger(__name__)

# As many as FLUX.1 schnell was trained with, by its model card; more are refused by the published code.
FLUX_TOKENS = 256

FlagsOf = Callable[[torch.Tensor], torch.Tensor]


def prepare_sampler(
    pipeline: DiffusionPipeline, request: ImageRequest, configuration: Mapping[str, Any], *, from_image: bool = False
) -> None:
    """Gives `pipeline` the sampler of `request`; `configuration` is that of the checkpoint's own scheduler.

    It is not the configuration of the scheduler that `pipeline` has by now: what an earlier request needed would stick.
    `from_image` says that this is image to image.
    """
    strength = request.strength if from_image else None
    pipeline.scheduler = make_scheduler(request.sampler, configuration, request.ddim_steps, strength=strength)


def draw_batch(
    pipeline: DiffusionPipeline,
    job: Job,
    batch: Sequence[ImageRequest],
    *,
    initial_image: Image.Image | None,
    on_step: Callable[[float], None],
    execution: Execution = "eager",
    tiled: bool = False,
) -> list[DrawnImage]:
    """Draws the images of `batch` as `begin_batch` does, and waits for them; `tiled` has them decoded in tiles.

    Raises `RunError` when the GPU's memory does not suffice or the model yields no numbers.
    """
    if tiled:
        pipeline.vae.enable_tiling()
    try:
        with executing(pipeline, execution):
            pending = begin_batch(
                pipeline, job, batch, initial_image=initial_image, on_step=on_step, execution=execution
            )
            return pending.images()
    except torch.OutOfMemoryError as error:
        raise out_of_memory(batch) from error


def begin_batch(
    pipeline: DiffusionPipeline,
    job: Job,
    batch: Sequence[ImageRequest],
    *,
    initial_image: Image.Image | None,
    on_step: Callable[[float], None],
    execution: Execution,
    flags_of: FlagsOf | None = None,
) -> PendingBatch:
    """Draws the images of `batch`, which have one `batch_key`, at once; the last kernels may still run on return.

    `pipeline` must have been given their sampler, and run as `execution` says. `on_step` hears the finished share of
    the batch, from 0 to 1, after every denoising step; what it raises ends the batch. Raises torch's
    `OutOfMemoryError`.

    `flags_of` is asked on the device about the finished colours, so that its answer too comes in the background.

    Every image has a random generator of its own, on the CPU, so that neither its neighbours in the batch nor the kind
    of GPU change its noise. Guidance is off for a scale of 0 or 1, as diffusers has it.
    """
    steps = StepsInFlight(pipeline.device)

    def tell(_pipeline: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        steps.one_more()
        on_step(min(1.0, (step + 1) / max(1, pipeline.num_timesteps)))
        return tensors

    one = batch[0]
    flow = "transformer" in pipeline.components
    # From an image, the others take its size and know no such option.
    size = {"height": one.H, "width": one.W} if initial_image is None or flow else {}
    text = {"max_sequence_length": FLUX_TOKENS} if flow else {}
    start: dict[str, Any] = {}
    if initial_image is not None:
        fitted = fit_image(initial_image, width=one.W, height=one.H)
        start = {"image": [fitted] * len(batch), "strength": one.strength}
    # Not every pipeline knows it: those of flow models have no such sampler.
    noise = {"eta": one.ddim_eta} if one.ddim_eta else {}
    began = time.monotonic()
    colours = pipeline(
        prompt=[request.prompt for request in batch],
        negative_prompt=[request.negative_prompt for request in batch],
        num_inference_steps=one.ddim_steps,
        guidance_scale=one.scale,
        generator=[torch.Generator("cpu").manual_seed(request.seed) for request in batch],
        output_type="pt",
        callback_on_step_end=tell,
        **size,
        **start,
        **text,
        **noise,
    ).images
    drawn_with = DrawnWith(
        indices=[request.index for request in batch],
        execution=execution,
        precision=str(pipeline.dtype).removeprefix("torch."),
        device=_name_of(pipeline.device),
        tiled=bool(pipeline.vae.use_tiling),
    )
    flags = flags_of(colours) if flags_of else None
    return PendingBatch(batch, colours, model=str(job.model), began=began, drawn_with=drawn_with, flags=flags)


def out_of_memory(batch: Sequence[ImageRequest]) -> RunError:
    """What to tell when even `batch` is too much for the GPU's memory."""
    count = f"{len(batch)} images" if len(batch) > 1 else "one image"
    return RunError(
        f"The GPU's memory does not suffice for {count} of {batch[0].W} × {batch[0].H} at once. Deploy again with a "
        "smaller Height or Width, or with an InstanceType whose GPU has more memory."
    )


def _name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
