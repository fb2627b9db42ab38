"""From texts to pictures. Image k depends on the job and on k, and on nothing else.

job = Job(prompt="a horse under a tree")
batch = image_requests(job)[:1]
pipeline = load_pipeline(folder, layout=None, device=torch.device("cuda"), from_image=False)
prepare_sampler(pipeline, batch[0], pipeline.scheduler.config)
[drawn] = draw_batch(pipeline, job, batch, initial_image=None, on_step=print)
drawn.image.save("horse.png")
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from diffusers import DiffusionPipeline, ZImageImg2ImgPipeline, ZImagePipeline
from PIL import Image

from userdata.job.image_request import ImageRequest
from userdata.job.init_mask import fit_start
from userdata.job.job import Job
from userdata.job.run_error import RunError
from userdata.record.drawn_with import DrawnWith, Execution
from userdata.worker.between.task import DrawnImage
from userdata.worker.drawing.inpainting import Inpainting
from userdata.worker.drawing.pending_batch import PendingBatch
from userdata.worker.drawing.samplers import make_scheduler
from userdata.worker.drawing.second_pass import draw_larger, share_of_first_pass
from userdata.worker.drawing.steps_in_flight import StepsInFlight
from userdata.worker.drawing.texts_ahead import texts_ahead
from userdata.worker.drawing.weighted_prompts import prompts_weighted, reads_weights
from userdata.worker.kernels.execution import executing
from userdata.worker.model.device import device_name
from userdata.worker.model.large_encoder import large_encoder
from userdata.worker.model.quantized import kept_in

# The tokens of a text that a model reads. FLUX.1 schnell's are those that it was trained with, by its model card; more
# are refused by the published code. The others' are those of their pipelines.
FLUX_TOKENS = 256
TOKENS = 512

FlagsOf = Callable[[torch.Tensor], torch.Tensor]


def prepare_sampler(
    pipeline: DiffusionPipeline, request: ImageRequest, configuration: Mapping[str, Any], *, from_image: bool = False
) -> None:
    """Gives `pipeline` the sampler of `request`; `from_image` says that this is image to image.

    `configuration` is that of the checkpoint's own scheduler. The scheduler that `pipeline` has by now would not do: it
    keeps what an earlier request needed.
    """
    strength = request.strength if from_image else None
    pipeline.scheduler = make_scheduler(request.sampler, configuration, request.ddim_steps, strength=strength)


def begin_batch(
    pipeline: DiffusionPipeline,
    job: Job,
    batch: Sequence[ImageRequest],
    *,
    initial_image: Image.Image | None,
    on_step: Callable[[float], None],
    execution: Execution,
    flags_of: FlagsOf | None = None,
    emphasis: bool = True,
) -> PendingBatch:
    """Draws the images of `batch`, which have one `batch_key`, at once; the last kernels may still run on return.

    `pipeline` must have the sampler of `batch`, run as `execution` says, and read weights unless `emphasis` is False.
    `on_step` hears the finished share of the batch, from 0 to 1, after every denoising step; what `on_step` raises ends
    the batch. `flags_of` gets the finished colours on the device, so that its answer too comes in the background.
    Raises torch's `OutOfMemoryError`.
    """
    one, steps = batch[0], StepsInFlight(pipeline.device)
    start, mask = fit_start(initial_image, width=one.W, height=one.H) if initial_image else (None, None)
    inpainting = Inpainting(pipeline, start, mask) if start and mask else None
    first_share = share_of_first_pass(one)

    def tell(_pipeline: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        steps.one_more()
        on_step(first_share * min(1.0, (step + 1) / max(1, pipeline.num_timesteps)))
        return {"latents": inpainting.after_step(step, tensors["latents"])} if inpainting else tensors

    def tell_larger(done: int, of: int) -> None:
        steps.one_more()
        on_step(first_share + (1 - first_share) * min(1.0, done / of))

    began = time.monotonic()
    # One for each image, on the CPU: neither the other images nor the kind of GPU change an image's noise.
    generators = [torch.Generator("cpu").manual_seed(request.seed) for request in batch]
    in_both = _options_of_both_passes(pipeline, batch)
    colours = pipeline(
        generator=generators,
        callback_on_step_end=tell,
        **in_both,
        **_options_of_the_first(pipeline, batch, start),
    ).images
    if inpainting:
        colours = inpainting.pasted(colours)
    if one.upscale > 1:
        colours = draw_larger(pipeline, batch, colours, generators=generators, on_step=tell_larger, **in_both)
    drawn_with = DrawnWith(
        indices=[request.index for request in batch],
        execution=execution,
        precision=str(pipeline.dtype).removeprefix("torch."),
        device=device_name(pipeline.device),
        tiled=bool(pipeline.vae.use_tiling),
        emphasis=emphasis and reads_weights(pipeline),
        quantized=kept_in(pipeline),
    )
    flags = flags_of(colours) if flags_of else None
    return PendingBatch(batch, colours, model=str(job.model), began=began, drawn_with=drawn_with, flags=flags)


def draw_batch(
    pipeline: DiffusionPipeline,
    job: Job,
    batch: Sequence[ImageRequest],
    *,
    initial_image: Image.Image | None,
    on_step: Callable[[float], None],
    execution: Execution = "eager",
    tiled: bool = False,
    emphasis: bool = True,
) -> list[DrawnImage]:
    """Draws the images of `batch` as `begin_batch` does, and waits for them; `tiled` has them decoded in tiles.

    Without `emphasis`, brackets are text, and long texts are cut, as earlier versions did.

    Raises `RunError` when the GPU's memory does not suffice or the model yields no numbers.
    """
    if tiled or batch[0].upscale > 1:
        pipeline.vae.enable_tiling()
    try:
        encoder = large_encoder(pipeline)
        texts = texts_ahead(pipeline, encoder) if encoder else prompts_weighted(pipeline) if emphasis else nullcontext()
        with executing(pipeline, execution, shapes=batch[0].upscale), texts:
            return begin_batch(
                pipeline,
                job,
                batch,
                initial_image=initial_image,
                on_step=on_step,
                execution=execution,
                emphasis=emphasis,
            ).images()
    except torch.OutOfMemoryError as error:
        raise out_of_memory(batch) from error


def out_of_memory(batch: Sequence[ImageRequest]) -> RunError:
    """The message when even `batch` is too much for the GPU's memory."""
    count = f"{len(batch)} images" if len(batch) > 1 else "one image"
    width, height = batch[0].size
    return RunError(
        f"The GPU's memory does not suffice for {count} of {width} × {height} at once. Deploy again with a smaller "
        "Height or Width, or with an InstanceType whose GPU has more memory."
    )


def tokens_read(pipeline: DiffusionPipeline) -> int:
    """How many tokens of a text a `pipeline` of a transformer reads."""
    return FLUX_TOKENS if "tokenizer_2" in pipeline.components else TOKENS


def _options_of_both_passes(pipeline: DiffusionPipeline, batch: Sequence[ImageRequest]) -> dict[str, Any]:
    one = batch[0]
    options: dict[str, Any] = {
        "prompt": [request.prompt for request in batch],
        "num_inference_steps": one.ddim_steps,
        "guidance_scale": one.scale,  # 0 and 1 switch guidance off
        "output_type": "pt",
    }
    if isinstance(pipeline, ZImagePipeline | ZImageImg2ImgPipeline) and one.scale <= 1:
        options["guidance_scale"] = 0.0  # to these pipelines, 1 is a scale like any other
    if "negative_prompt" in inspect.signature(type(pipeline).__call__).parameters:
        options["negative_prompt"] = [request.negative_prompt for request in batch]
    if one.ddim_eta:  # pipelines of flow models have no sampler with such noise
        options["eta"] = one.ddim_eta
    return options


def _options_of_the_first(
    pipeline: DiffusionPipeline, batch: Sequence[ImageRequest], start: Image.Image | None
) -> dict[str, Any]:
    """The options that not every pipeline knows. `start` is an image of the batch's size."""
    one = batch[0]
    options: dict[str, Any] = {}
    flow = "transformer" in pipeline.components
    if flow:
        options["max_sequence_length"] = tokens_read(pipeline)
    if flow or start is None:  # the other pipelines take the size of the initial image
        options.update(height=one.H, width=one.W)
    if start is not None:
        options.update(image=[start] * len(batch), strength=one.strength)
    return options
