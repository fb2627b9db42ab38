"""A checkpoint in one file: finds its layout without loading it, or the reason why the file is no checkpoint.

What a file is follows from its content, never from its name: people rename files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from userdata.contract.catalogue import CHECKPOINT_SUFFIXES
from userdata.job.choices import Prediction
from userdata.job.run_error import RunError
from userdata.worker.model.pickle_file import first_sentence
from userdata.worker.model.prediction import marked_prediction
from userdata.worker.model.tensor_file import look_into
from userdata.worker.model.tensor_names import (
    INPUT,
    STABLE_DIFFUSION_V1,
    STABLE_DIFFUSION_XL,
    Shapes,
    another_kind,
    kind_without_network,
    why_no_vae,
)

XL, V1 = "stable-diffusion-xl", "stable-diffusion-v1"


def checkpoint_in(folder: Path) -> Path:
    """The one checkpoint in `folder`, which may be that file itself. Raises `RunError` for none, or several."""
    if folder.is_file():
        return folder
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in CHECKPOINT_SUFFIXES)
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in found) or "none"
    raise RunError(
        f"The model folder {folder} must hold a model_index.json or one checkpoint ({', '.join(CHECKPOINT_SUFFIXES)}), "
        f"but has {len(found)} of them ({names}). Name the checkpoint itself as the model."
    )


def shapes_of(checkpoint: Path) -> Shapes:
    """The shape of every tensor by its usual name. Raises `RunError` when the file is no checkpoint."""
    return _look_into(checkpoint)[0]


def prediction_of(checkpoint: Path) -> Prediction:
    """What a checkpoint says that it predicts. Raises `RunError` when the file is no checkpoint."""
    return marked_prediction(*_look_into(checkpoint))


def _look_into(checkpoint: Path) -> tuple[Shapes, Mapping[str, str]]:
    try:
        return look_into(checkpoint)
    except ValueError as error:
        raise RunError(refusal(checkpoint, str(error))) from error


def layout_of(checkpoint: Path, shapes: Shapes) -> str:
    """The folder of `userdata/models/` with the configuration for a checkpoint whose tensors have these `shapes`.

    Raises `RunError`, with what the file is instead, when there is none.
    """
    why = another_kind(shapes) if INPUT in shapes else kind_without_network(shapes)
    if why:
        raise RunError(refusal(checkpoint, why))
    layout = XL if any(name.startswith(STABLE_DIFFUSION_XL) for name in shapes) else V1
    if layout == V1 and not any(name.startswith(STABLE_DIFFUSION_V1) for name in shapes):
        raise RunError(refusal(checkpoint, "it has no text encoder"))
    return layout


def check_vae(checkpoint: Path, shapes: Shapes) -> None:
    """Raises `RunError` when a checkpoint with tensors of these `shapes` has no whole VAE."""
    if why := why_no_vae(shapes):
        raise RunError(f"{checkpoint.name} cannot draw by itself: {why}.")


def does_not_load(checkpoint: Path, error: Exception) -> str:
    """The message about a checkpoint of a known layout whose weights are not those of its model."""
    if isinstance(error, NotImplementedError):  # torch's answer where a weight was not given
        return refusal(checkpoint, "some of its model's weights are missing")
    return refusal(checkpoint, f"its weights are not those of its model ({first_sentence(error)})")


def refusal(checkpoint: Path, why: str) -> str:
    """The message about a file that is no checkpoint; `why` is the reason."""
    return (
        f"{checkpoint.name} is no checkpoint that can be used: {why}. Name a whole Stable Diffusion 1 or XL checkpoint "
        "as Model, as .safetensors or .ckpt."
    )
