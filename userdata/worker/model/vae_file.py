"""Loads a VAE of its own, which takes the place of a model's.

Its file has the original's names or diffusers', and may be a whole checkpoint, whose VAE is taken.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL

from userdata.job.run_error import RunError
from userdata.worker.model.checkpoint_tensors import Tensors, read_any_tensors
from userdata.worker.model.pickle_file import first_sentence
from userdata.worker.model.tensor_names import VAE, Shapes, kind_without_network

_PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
# A layer that a VAE has under this name in diffusers' names alone.
_OF_DIFFUSERS = "decoder.mid_block.resnets.0.conv1.weight"
_OF_EVERY_VAE = "decoder.conv_in.weight"


def load_vae(file: Path, configuration: Path, *, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    """The VAE of `file` on `device`, with the settings of `configuration`: the folder of a model with a folder `vae`.

    Raises `RunError` for a file that is no VAE, or not one for that model.
    """
    try:
        tensors = read_any_tensors(file, device=device, dtype=dtype)
        check_vae_names(file.name, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
        return _load(_vae_in(tensors), configuration, device, dtype)
    except (RunError, MemoryError, torch.OutOfMemoryError):
        raise
    except ValueError as error:
        raise RunError(_refusal(file.name, first_sentence(error))) from error
    except Exception as error:  # diffusers answers a file that does not fit with errors of many kinds
        raise RunError(_refusal(file.name, f"it does not fit the model ({first_sentence(error)})")) from error


def _load(tensors: Tensors, configuration: Path, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    if _OF_DIFFUSERS in tensors:
        with torch.device("meta"):
            vae = AutoencoderKL.from_config(AutoencoderKL.load_config(configuration, subfolder="vae"))
        vae.load_state_dict(tensors, assign=True)
        return vae.eval()
    vae = AutoencoderKL.from_single_file(
        {VAE + name: tensor for name, tensor in tensors.items()},
        config=str(configuration),
        subfolder="vae",
        dtype=dtype,
        device=device,
        local_files_only=True,
    )
    return vae.eval()


def check_vae_names(title: str, shapes: Shapes) -> None:
    """Raises `RunError` when tensors of these `shapes` are no VAE; `title` names the file."""
    names = [name.removeprefix(VAE) for name in shapes]
    if _OF_EVERY_VAE not in names:
        raise RunError(_refusal(title, kind_without_network(shapes)))
    if not any(name.startswith("encoder.") for name in names):
        raise RunError(_refusal(title, "it has a decoder, but no encoder"))


def _refusal(title: str, why: str) -> str:
    return (
        f"{title} is no VAE that can be used: {why}. Name the file of a VAE for the model as Vae, as .safetensors, "
        ".ckpt or .pt."
    )


def _vae_in(tensors: Tensors) -> Tensors:
    """The tensors of a VAE by their names within it. A trainer's own tensors beside them are left out."""
    bare = {name.removeprefix(VAE): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in bare.items() if name.startswith(_PARTS)}
