"""Loads a model once, for text to image and image to image.

A model is a folder: either diffusers' own layout, or one .safetensors file in the original layout, for which the
bundle carries the configuration and the tokenizer (`userdata/models/<layout>/`). Nothing is fetched while loading, and
a pickle is never opened: unpickling runs whatever code the file contains.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import DiffusionPipeline

from userdata.worker.run_error import RunError

LAYOUTS = Path(__file__).parent.parent / "models"

logger = logging.getLogger(__name__)


def choose_device(device: str | None) -> torch.device:
    """The device named, or the GPU. Raises `RunError` when a GPU is wanted and none can be used.

    Falling back to the CPU by itself would keep a GPU instance busy, and billed, for hours: the CPU must be asked for.
    """
    if device == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    raise RunError(
        "No GPU can be used by PyTorch on this machine. Choose an InstanceType with an NVIDIA GPU, for example "
        "g5.xlarge, or write SD_DEVICE=cpu into /etc/sd-on-ec2/machine.env to draw on the CPU."
    )


def load_pipeline(folder: Path, *, layout: str, device: torch.device, from_image: bool) -> DiffusionPipeline:
    """The model in `folder`, on `device`: in half precision on a GPU, in single precision on the CPU.

    `layout` names the configuration for a single-file checkpoint. Raises `RunError` when there is no model, when it is
    a pickle, or when its file is broken.
    """
    _quieten_libraries()
    dtype = torch.float32 if device.type == "cpu" else torch.float16
    index = folder / "model_index.json"
    try:
        if index.exists():
            pipeline = DiffusionPipeline.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, local_files_only=True, **_no_safety_checker(index)
            )
        else:
            pipeline = _load_single_file(_checkpoint_in(folder), LAYOUTS / layout, dtype)
    except RunError:
        raise
    except Exception as error:
        raise RunError(
            f"The model in {folder} cannot be loaded ({type(error).__name__}: {error}). Delete that folder on the "
            "machine and start the instance again, which provides the model anew."
        ) from error
    if from_image:
        # Imported here: it imports every kind of pipeline that there is.
        from diffusers import AutoPipelineForImage2Image

        pipeline = AutoPipelineForImage2Image.from_pipe(pipeline)
    pipeline.set_progress_bar_config(disable=True)
    # One image at a time through the decoder: the largest single use of memory, without any gain from batching.
    pipeline.vae.enable_slicing()
    pipeline.to(device)
    return pipeline


def tell_what_is_cut(pipeline: DiffusionPipeline, name: str, prompt: str) -> None:
    """Warns in the log when the text encoder cannot take all of `prompt`, and says which words it will not see."""
    tokenizer = pipeline.tokenizer
    tokens = tokenizer(prompt, truncation=False).input_ids
    limit = tokenizer.model_max_length
    if len(tokens) > limit:
        lost = tokenizer.decode(tokens[limit - 1 : -1])
        logger.warning("%s is longer than the model reads (%d tokens); cut off: %s", name, limit, lost)


def _load_single_file(checkpoint: Path, configuration: Path, dtype: torch.dtype) -> DiffusionPipeline:
    index = configuration / "model_index.json"
    kind = getattr(diffusers, json.loads(index.read_text("utf-8"))["_class_name"])
    return kind.from_single_file(
        str(checkpoint), config=str(configuration), dtype=dtype, local_files_only=True, **_no_safety_checker(index)
    )


def _checkpoint_in(folder: Path) -> Path:
    checkpoints = sorted(folder.glob("*.safetensors"))
    if len(checkpoints) == 1:
        return checkpoints[0]
    pickles = sorted(path.name for path in folder.glob("*") if path.suffix in (".ckpt", ".pt", ".pth", ".bin"))
    found = f"only {', '.join(pickles)}, and a pickle can run any code" if pickles else f"{len(checkpoints)} of them"
    raise RunError(
        f"The model folder {folder} must hold a model_index.json or one .safetensors file, but has {found}. "
        "Name another Model, or convert the checkpoint to .safetensors."
    )


def _no_safety_checker(index: Path) -> dict[str, Any]:
    has_one = "safety_checker" in json.loads(index.read_text("utf-8"))
    return {"safety_checker": None, "requires_safety_checker": False} if has_one else {}


def _quieten_libraries() -> None:
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
