"""Loads a model once, for text to image and image to image.

A model is a folder: either diffusers' own layout, or one checkpoint in the original layout, for which the bundle
carries the configuration and the tokenizer (`userdata/models/<layout>/`). Nothing is fetched while loading, and a
pickle is opened with weights only: unpickling anything else runs whatever code the file contains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import DiffusionPipeline

from userdata.contract.bundle import BUNDLE
from userdata.contract.catalogue import OFF
from userdata.job.choices import Prediction
from userdata.job.run_error import RunError
from userdata.worker.model.checkpoint import (
    check_vae,
    checkpoint_in,
    does_not_load,
    layout_of,
    prediction_of,
    shapes_of,
)
from userdata.worker.model.checkpoint_tensors import Tensors, read_tensors
from userdata.worker.model.device import choose_dtype
from userdata.worker.model.diffusers_folder import INDEX, load_folder
from userdata.worker.model.embeddings import teach_embeddings
from userdata.worker.model.lora import Loras
from userdata.worker.model.pickle_file import first_sentence
from userdata.worker.model.prediction import set_prediction
from userdata.worker.model.single_file import load_single_file
from userdata.worker.model.vae_file import load_vae

LAYOUTS = BUNDLE.models


def load_pipeline(
    folder: Path,
    *,
    layout: str | None,
    device: torch.device,
    from_image: bool,
    precision: str = "autocast",
    prediction: Prediction | str = Prediction.auto,
    vae: Path | None = None,
    embeddings: Mapping[str, Path] | None = None,
    loras: Sequence[Path] = (),
    tensors: Tensors | None = None,
    kept: str = OFF,
) -> DiffusionPipeline:
    """The model in `folder`, on `device`, with half precision on a GPU and single precision on the CPU.

    `folder` may be a checkpoint itself. `precision` is the job's: `full` means single precision on a GPU too.
    `layout` names the configuration for a checkpoint in one file; with None, the file's tensors tell. `prediction` is
    the job's, `vae` the file of a VAE that takes the place of the model's own, and `embeddings` are the files of
    embeddings by the names that prompts have for them. `loras` are the model's own, which become part of its weights.
    `tensors` are those of a checkpoint that has been read already. `kept` is the type that the weights of a transformer
    are kept in (`userdata.job.quantization`).
    Raises `RunError` when there is no model, or when a file is broken or not what it should be.
    """
    _quieten_libraries()
    checkpoint = None if (folder / INDEX).exists() else checkpoint_in(folder)
    marked = Prediction.auto
    try:
        if checkpoint:
            shapes = shapes_of(checkpoint)
            found = layout_of(checkpoint, shapes)  # refuses what is no checkpoint, with a known layout too
            if vae is None:
                check_vae(checkpoint, shapes)
            marked = prediction_of(checkpoint)
            pipeline = _load_checkpoint(checkpoint, layout or found, device, precision, tensors, vae)
        else:
            pipeline = load_folder(folder, device, precision, vae=vae, kept=kept)
    except RunError:
        raise
    except Exception as error:  # diffusers answers a file that does not fit with errors of many kinds
        raise RunError(_why_not_loaded(folder, checkpoint, error)) from error
    if layout is None or vae:
        _check_numbers(pipeline, (checkpoint or folder).name)
    if loras:
        own = {file.stem: file for file in loras}
        Loras(pipeline, own, restorable=False).apply(dict.fromkeys(own, 1.0))
    if embeddings:
        teach_embeddings(pipeline, embeddings)
    set_prediction(pipeline, Prediction(prediction), marked)
    _without_extras(pipeline)
    # One image at a time through the decoder, because decoding takes most memory and gains nothing from batching.
    pipeline.vae.enable_slicing()
    return for_image_to_image(pipeline) if from_image else pipeline


def for_image_to_image(pipeline: DiffusionPipeline) -> DiffusionPipeline:
    """Another pipeline of the same networks, which starts from an image. Raises `RunError` where there is none."""
    # Imported here, because it imports every kind of pipeline of diffusers.
    from diffusers import AutoPipelineForImage2Image, ChromaImg2ImgPipeline, ChromaPipeline, Flux2KleinPipeline

    if isinstance(pipeline, Flux2KleinPipeline):
        raise RunError("FLUX.2 takes an image as something to look at, and starts from none. Choose another Model.")
    # diffusers' own list does not have Chroma's.
    kind = ChromaImg2ImgPipeline if isinstance(pipeline, ChromaPipeline) else AutoPipelineForImage2Image
    other = kind.from_pipe(pipeline)
    _without_extras(other)
    return other


def _without_extras(pipeline: DiffusionPipeline) -> None:
    """Takes diffusers' progress bar from `pipeline`, and the invisible watermark that it gives to XL unasked.

    The worker writes its own watermark, and only where `Watermark` is on.
    """
    pipeline.set_progress_bar_config(disable=True)
    if hasattr(pipeline, "watermark"):
        pipeline.watermark = None


def _why_not_loaded(folder: Path, checkpoint: Path | None, error: Exception) -> str:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return (
            f"The memory does not suffice to load the model in {folder}. Deploy again with an InstanceType that has "
            "more, or with a smaller Model."
        )
    if checkpoint and not isinstance(error, OSError):
        return does_not_load(checkpoint, error)
    return (
        f"The model in {folder} cannot be loaded ({type(error).__name__}: {first_sentence(error)}). Complete that "
        "model, or name another."
    )


def _load_checkpoint(
    checkpoint: Path, layout: str, device: torch.device, precision: str, tensors: Tensors | None, vae: Path | None
) -> DiffusionPipeline:
    dtype = choose_dtype(device, precision)
    return load_single_file(
        tensors or read_tensors(checkpoint, device=device, dtype=dtype),
        configuration=LAYOUTS / layout,
        tokenizer=BUNDLE.tokenizer,
        dtype=dtype,
        device=device,
        vae=load_vae(vae, LAYOUTS / layout, device=device, dtype=dtype) if vae else None,
    )


@torch.no_grad()
def _check_numbers(pipeline: DiffusionPipeline, name: str) -> None:
    """Raises `RunError` when a weight is no number, as broken trainings and merges leave them.

    Looked for here, because the images of such a model only tell that something was no number. The device is asked
    once for a whole network.
    """
    for part, network in pipeline.components.items():
        if not isinstance(network, torch.nn.Module):
            continue
        weights = dict(network.named_parameters())
        finite = torch.stack([torch.isfinite(weight).all() for weight in weights.values()]).tolist()
        broken = [weight for weight, whole in zip(weights, finite, strict=True) if not whole]
        if broken:
            raise RunError(
                f"{name} is broken: {len(broken)} of the {len(weights)} weights of its {part} hold what is no number "
                f"(NaN or infinity) in {str(pipeline.dtype).removeprefix('torch.')}, for example {broken[0]}. Choose "
                "another Model, or Precision=full where half precision is too small for its numbers."
            )


def _quieten_libraries() -> None:
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
