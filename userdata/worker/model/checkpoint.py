"""A checkpoint in one file: finds its layout without loading it, or the reason why the file is no checkpoint.

Opens pickles (`.ckpt`) with weights only, so that nothing in them can run, and maps them instead of reading them.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from userdata.job.run_error import RunError

SUFFIXES = (".safetensors", ".ckpt")
INPUT = "model.diffusion_model.input_blocks.0.0.weight"
STABLE_DIFFUSION_V1 = "cond_stage_model.transformer."
STABLE_DIFFUSION_V2 = "cond_stage_model.model."
STABLE_DIFFUSION_XL = "conditioner.embedders.1.model."
LATENT_CHANNELS = 4
CONVOLUTION_DIMENSIONS = 4

# Files that people download by mistake, by their first bytes: a server's page for an error or a login, other formats.
MISTAKEN = {
    b"GGUF": "it is a GGUF file, which is a format of other programs",
    b"version https://git-lfs": "it is Git LFS's pointer to the checkpoint, not the checkpoint",
    b"<!doctype": "it is a web page, as a server sends it in place of a file that wants a login",
    b"<html": "it is a web page, as a server sends it in place of a file that wants a login",
}
_NAMED_IN_PICKLE = re.compile(r"GLOBAL (\S+)")

# Classes that the trainer of the original checkpoints left in them beside the weights. Drawing needs none of them.
TRAINERS_OWN = ("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",)

Shapes = Mapping[str, tuple[int, ...]]


class _StandIn:
    """Takes the place of a class that a pickle names, so that the class itself is neither needed nor imported."""


def checkpoint_in(folder: Path) -> Path:
    """The one checkpoint in `folder`, which may be that file itself. Raises `RunError` for none, or several."""
    if folder.is_file():
        return folder
    found = sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES)
    if len(found) == 1:
        return found[0]
    raise RunError(
        f"The model folder {folder} must hold a model_index.json or one .safetensors or .ckpt file, but has "
        f"{len(found)} of them. Name another Model, or delete that folder and start the instance again."
    )


def shapes_of(checkpoint: Path) -> Shapes:
    """The shape of every tensor by its name. Raises `RunError` when the file is no checkpoint."""
    try:
        if checkpoint.suffix == ".safetensors":
            with safe_open(checkpoint, framework="pt") as file:
                return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        return {name: tuple(tensor.shape) for name, tensor in open_pickle(checkpoint).items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(_refusal(checkpoint, mistaken_for(checkpoint) or str(error))) from error


def open_pickle(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The tensors of a `.ckpt` file, mapped. Raises `RunError` when the file holds or would run anything else.

    Raises `RunError` too when the machine's memory does not suffice, which is no fault of the file.
    """
    try:
        # Files that torch before 1.6 wrote are no zip files, and cannot be mapped.
        with torch.serialization.safe_globals([(_StandIn, name) for name in TRAINERS_OWN]):
            content: Any = torch.load(
                checkpoint, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(checkpoint)
            )
    except MemoryError as error:
        raise RunError(
            f"The machine's memory does not suffice to open {checkpoint.name}. Deploy again with an InstanceType that "
            "has more, or name the same model as .safetensors, which takes less."
        ) from error
    # torch's reader answers a pickle of nonsense with whatever error its first slip raises.
    except Exception as error:
        raise RunError(_refusal(checkpoint, mistaken_for(checkpoint) or _why_no_weights(error))) from error
    tensors = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(tensors, dict):
        raise RunError(_refusal(checkpoint, "it holds no state_dict"))
    return {
        name: tensor for name, tensor in tensors.items() if isinstance(name, str) and isinstance(tensor, torch.Tensor)
    }


def mistaken_for(file: Path) -> str | None:
    """What a file is instead of a checkpoint, as the reason of a refusal; None when its first bytes do not tell."""
    try:
        with file.open("rb") as content:
            start = content.read(512).lstrip()
    except OSError:
        return None
    if not start:
        return "it is empty"
    return next((what for mark, what in MISTAKEN.items() if start[: len(mark)].lower() == mark.lower()), None)


def layout_of(checkpoint: Path, shapes: Shapes) -> str:
    """The folder of `userdata/models/` with the configuration for a checkpoint whose tensors have these `shapes`.

    Raises `RunError` when there is none.
    """
    if INPUT not in shapes:
        raise RunError(_refusal(checkpoint, f"it has no {INPUT}: it is a LoRA, a part of a model, or something else"))
    if any(name.startswith(STABLE_DIFFUSION_V2) for name in shapes):
        raise RunError(_refusal(checkpoint, "it has the layout of Stable Diffusion 2, which is not supported"))
    if len(shapes[INPUT]) != CONVOLUTION_DIMENSIONS:
        raise RunError(_refusal(checkpoint, f"its {INPUT} has the shape {list(shapes[INPUT])}: it is damaged"))
    if shapes[INPUT][1] != LATENT_CHANNELS:
        raise RunError(_refusal(checkpoint, f"it wants {shapes[INPUT][1]} channels: it is a model for inpainting"))
    if any(name.startswith(STABLE_DIFFUSION_XL) for name in shapes):
        return "stable-diffusion-xl"
    if any(name.startswith(STABLE_DIFFUSION_V1) for name in shapes):
        return "stable-diffusion-v1"
    raise RunError(_refusal(checkpoint, "it has no text encoder"))


def _why_no_weights(error: Exception) -> str:
    named = _NAMED_IN_PICKLE.search(str(error))
    if named and isinstance(error, pickle.UnpicklingError):
        return f"it is a pickle that asks for {named[1]}, which could be any code; nothing of it was run"
    if isinstance(error, OSError):
        return str(error)
    if isinstance(error, RuntimeError):
        return f"it is cut off, or no file of torch.save ({_first_sentence(error)})"
    return "it is no file of torch.save, or damaged"


def _first_sentence(error: Exception) -> str:
    return str(error).strip().split("\n")[0].split(". ")[0].rstrip(".")[:200] or type(error).__name__


def does_not_load(checkpoint: Path, error: Exception) -> str:
    """The message about a checkpoint of a known layout whose weights are not those of its model."""
    if isinstance(error, NotImplementedError):  # torch's answer where a weight was not given
        return _refusal(checkpoint, "some of its model's weights are missing")
    return _refusal(checkpoint, f"its weights are not those of its model ({_first_sentence(error)})")


def _refusal(checkpoint: Path, why: str) -> str:
    """The message about a file that is no checkpoint; `why` is the reason."""
    return (
        f"{checkpoint.name} is no checkpoint that can be used: {why}. Name a whole Stable Diffusion 1 or XL checkpoint "
        "as Model, as .safetensors or .ckpt."
    )
