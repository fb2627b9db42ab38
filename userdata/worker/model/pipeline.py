"""Loads a model once, for text to image and image to image.

A model is a folder: either diffusers' own layout, or one checkpoint in the original layout, for which the bundle
carries the configuration and the tokenizer (`userdata/models/<layout>/`). Nothing is fetched while loading, and a
pickle is opened with weights only: unpickling anything else runs whatever code the file contains.
"""

from __future__ import annotations

import json
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import DiffusionPipeline

from userdata.contract.bundle import BUNDLE
from userdata.job.run_error import RunError
from userdata.worker.model.checkpoint import checkpoint_in, does_not_load, layout_of, shapes_of
from userdata.worker.model.checkpoint_tensors import Tensors, read_tensors
from userdata.worker.model.device import choose_dtype
from userdata.worker.model.single_file import load_single_file

LAYOUTS = BUNDLE.models


def load_pipeline(
    folder: Path,
    *,
    layout: str | None,
    device: torch.device,
    from_image: bool,
    precision: str = "autocast",
    tensors: Tensors | None = None,
) -> DiffusionPipeline:
    """The model in `folder`, on `device`, with half precision on a GPU and single precision on the CPU.

    `folder` may be a checkpoint itself. `precision` is the job's: `full` means single precision on a GPU too.
    `layout` names the configuration for a checkpoint in one file; with None, the file's tensors tell. `tensors` are
    those of that file, when they have been read already. Raises `RunError` when there is no model, or when its file is
    broken or no checkpoint.
    """
    _quieten_libraries()
    index = folder / "model_index.json"
    checkpoint = None if index.exists() else checkpoint_in(folder)
    try:
        pipeline = (
            _load_checkpoint(checkpoint, layout, device, precision, tensors)
            if checkpoint
            else _load_folder(folder, index, device, precision)
        )
    except RunError:
        raise
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise RunError(
            f"The memory does not suffice to load the model in {folder}. Deploy again with an InstanceType that has "
            "more, or with a smaller Model."
        ) from error
    except Exception as error:
        if checkpoint and not isinstance(error, OSError):
            # Not "start the instance again": the same file, provided anew, would end the same way.
            raise RunError(does_not_load(checkpoint, error)) from error
        raise RunError(
            f"The model in {folder} cannot be loaded ({type(error).__name__}: {error}). Delete that folder on the "
            "machine and start the instance again, which provides the model anew."
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    # One image at a time through the decoder, because decoding takes most memory and gains nothing from batching.
    pipeline.vae.enable_slicing()
    return for_image_to_image(pipeline) if from_image else pipeline


def for_image_to_image(pipeline: DiffusionPipeline) -> DiffusionPipeline:
    """Another pipeline of the same networks, which starts from an image."""
    # Imported here, because it imports every kind of pipeline of diffusers.
    from diffusers import AutoPipelineForImage2Image

    other = AutoPipelineForImage2Image.from_pipe(pipeline)
    other.set_progress_bar_config(disable=True)
    return other


def _load_checkpoint(
    checkpoint: Path, layout: str | None, device: torch.device, precision: str, tensors: Tensors | None
) -> DiffusionPipeline:
    found = layout_of(checkpoint, shapes_of(checkpoint))  # refuses what is no checkpoint, with a known layout too
    dtype = choose_dtype(device, precision)
    return load_single_file(
        tensors or read_tensors(checkpoint, device=device, dtype=dtype),
        configuration=LAYOUTS / (layout or found),
        tokenizer=BUNDLE.tokenizer,
        dtype=dtype,
        device=device,
    )


def _load_folder(folder: Path, index: Path, device: torch.device, precision: str) -> DiffusionPipeline:
    described = json.loads(index.read_text("utf-8"))
    # The worker has a safety checker of its own, for every model: the pipeline's would replace flagged images.
    without_checker = {"safety_checker": None, "requires_safety_checker": False}
    return DiffusionPipeline.from_pretrained(
        folder,
        dtype=choose_dtype(device, precision, pipeline=described["_class_name"]),
        # Straight to the device, because a large model's weights do not fit into the memory of the smallest machine.
        device_map=device.type,
        use_safetensors=True,
        local_files_only=True,
        **(without_checker if "safety_checker" in described else {}),
    )


def _quieten_libraries() -> None:
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
