"""Loads a model in diffusers' own layout: a folder with a model_index.json and a folder for each part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers import DiffusionPipeline

from userdata.contract.catalogue import OF_TRANSFORMERS, OFF
from userdata.contract.outside import read_json
from userdata.job.run_error import RunError
from userdata.worker.model.device import choose_dtype
from userdata.worker.model.large_encoder import LARGE_ENCODERS
from userdata.worker.model.pickle_bombs import BombError, refuse_bombs
from userdata.worker.model.quantized import load_quantized
from userdata.worker.model.tensor_names import LATENT_CHANNELS
from userdata.worker.model.vae_file import load_vae

INDEX = "model_index.json"
# The pipelines that can be drawn with. Those for image to image have the same parts.
TEXT_TO_IMAGE = {
    "StableDiffusionPipeline": "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline": "StableDiffusionPipeline",
    "StableDiffusionXLPipeline": "StableDiffusionXLPipeline",
    "StableDiffusionXLImg2ImgPipeline": "StableDiffusionXLPipeline",
    **{name: name for name in sorted(OF_TRANSFORMERS)},
}
_WEIGHTS = ("diffusion_pytorch_model", "model", "pytorch_model")
_SUFFIXES = (".safetensors", ".bin")


def load_folder(
    folder: Path, device: torch.device, precision: str, *, vae: Path | None = None, kept: str = OFF
) -> DiffusionPipeline:
    """The model in `folder`, which has an `INDEX`; `vae` is a file that takes the place of its own VAE.

    Weights with a name for their precision (fp16) are taken where there are no others, and pickles (.bin) where there
    is no safetensors: diffusers and transformers open them with weights only. `kept` is the type that the weights of a
    transformer are kept in (`userdata.job.quantization`). Raises `RunError` for another kind of model, and what
    diffusers raises for one that is not whole.
    """
    try:
        described: dict[str, Any] = read_json((folder / INDEX).read_bytes())
        kind = TEXT_TO_IMAGE.get(str(described["_class_name"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder / INDEX} is no description of a model ({error}). Name another model.") from error
    if why := _why_not(folder, described, kind):
        raise RunError(
            f"The model in {folder} cannot be used: {why}. Name a model of Stable Diffusion 1, XL, FLUX, Z-Image or "
            "Chroma."
        )
    _refuse_bombs(folder)
    dtype = choose_dtype(device, precision, pipeline=str(kind))
    # The worker has a safety checker of its own, for every model: the pipeline's would replace flagged images.
    parts: dict[str, Any] = {}
    if "safety_checker" in described:
        parts |= {"safety_checker": None, "requires_safety_checker": False}
    if vae:
        parts["vae"] = load_vae(vae, folder, device=device, dtype=dtype)
    if device.type == "cuda" and dtype != torch.float32 and (name := LARGE_ENCODERS.get(str(kind))):
        # In single precision it would fill the memory of the machines whose cards hold such a model.
        encoder = getattr(transformers, described[name][1])
        parts[name] = encoder.from_pretrained(folder / name, dtype=dtype, local_files_only=True)
    if kept != OFF and "transformer" in described:
        network = described["transformer"][1]
        parts["transformer"] = load_quantized(folder / "transformer", network, kept, device=device, dtype=dtype)
    return DiffusionPipeline.from_pretrained(
        folder,
        dtype=dtype,
        # Straight to the device, because a large model's weights do not fit into the memory of the smallest machine.
        device_map=device.type,
        use_safetensors=None if _has_pickles_alone(folder) else True,
        variant=_variant(folder),
        local_files_only=True,
        **parts,
    )


def _refuse_bombs(folder: Path) -> None:
    for file in [part / name for part in sorted(folder.iterdir()) if part.is_dir() for name in _weights_in(part)]:
        if file.suffix == ".bin":
            try:
                refuse_bombs(file)
            except (BombError, RuntimeError, OSError) as error:
                raise RunError(f"{file} cannot be used: {error}. Name another model.") from error


def _why_not(folder: Path, described: dict[str, Any], kind: str | None) -> str | None:
    if kind is None:
        return f"it is made for {str(described['_class_name'])[:60]}"
    if kind == "StableDiffusionXLPipeline" and not (described.get("text_encoder") or [None])[0]:
        return "it is the refiner of Stable Diffusion XL, which draws nothing by itself"
    try:
        channels = _config(folder / "unet").get("in_channels", LATENT_CHANNELS)
        of_latents = _config(folder / "vae").get("latent_channels", LATENT_CHANNELS)
    except (OSError, ValueError):
        return None  # diffusers tells it better
    return None if channels == of_latents else f"its network wants {channels} channels, as one for editing images"


def _config(part: Path) -> dict[str, Any]:
    return read_json((part / "config.json").read_bytes())


def _weights_in(part: Path) -> list[str]:
    return [file.name for file in part.glob("*") if file.name.startswith(_WEIGHTS) and file.suffix in _SUFFIXES]


def _parts(folder: Path) -> list[list[str]]:
    """The names of the files of weights in each part that has some."""
    return [names for part in sorted(folder.iterdir()) if part.is_dir() and (names := _weights_in(part))]


def _has_pickles_alone(folder: Path) -> bool:
    """Whether some part has its weights as a pickle alone."""
    return any(not any(name.endswith(".safetensors") for name in names) for names in _parts(folder))


def _variant(folder: Path) -> str | None:
    """`fp16`, or another word for it, where some part has its weights under such a name alone."""
    for names in _parts(folder):
        middles = {name.split(".")[1].split("-")[0] if name.count(".") > 1 else "" for name in names}
        if "" not in middles and len(middles) >= 1:
            return "fp16" if "fp16" in middles else sorted(middles)[0]
    return None
