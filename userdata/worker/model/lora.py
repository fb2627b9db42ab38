"""LoRA files (arXiv:2106.09685): small changes to a model's weights, merged into the model before it draws."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from diffusers import DiffusionPipeline
from safetensors import SafetensorError, safe_open

from userdata.job.run_error import RunError
from userdata.worker.model.checkpoint import mistaken_for

logger = logging.getLogger(__name__)
NAME = "lora"
# The names of the two small matrices of each changed weight, by trainer: diffusers and PEFT, kohya, and LyCORIS.
MATRICES = (".lora_A.", ".lora_B.", ".lora_up.", ".lora_down.", ".lora.up.", ".lora.down.")


@dataclass(frozen=True)
class Lora:
    """A file on this machine, and how much of its change is applied: 1 applies all of it."""

    file: Path
    weight: float


def check_lora(lora: Lora) -> None:
    """Raises `RunError` when the file is no LoRA. Quick, because it reads the tensors' names only."""
    try:
        with safe_open(lora.file, framework="pt") as file:
            names = list(file.keys())
    except (SafetensorError, OSError) as error:
        why = mistaken_for(lora.file) or str(error)
        raise RunError(f"The LoRA {lora.file.name} is no safetensors file ({why}). Name another one.") from error
    if not any(matrix in f"{name}." for name in names for matrix in MATRICES):
        raise RunError(
            f"{lora.file.name} is no LoRA: none of its {len(names)} tensors is one of a LoRA's. A whole checkpoint is "
            "named as Model."
        )


def merge_lora(pipeline: DiffusionPipeline, lora: Lora) -> None:
    """Adds the change to the weights of `pipeline` for good, so that `pipeline` draws as fast as without a LoRA.

    Raises `RunError` when the LoRA was made for another kind of model.
    """
    try:
        pipeline.load_lora_weights(str(lora.file.parent), weight_name=lora.file.name, adapter_name=NAME)
        changed = pipeline.get_list_adapters()
        if changed:
            pipeline.fuse_lora(lora_scale=lora.weight, adapter_names=[NAME])
            pipeline.unload_lora_weights()
    except (ValueError, RuntimeError, KeyError, IndexError, AttributeError) as error:
        raise RunError(_does_not_fit(lora, str(error).split("\n")[0][:200])) from error
    if not changed:
        raise RunError(_does_not_fit(lora, "none of its weights is one of the model's"))
    logger.info("Merged %s with weight %g into %s", lora.file.name, lora.weight, ", ".join(sorted(changed)))


def _does_not_fit(lora: Lora, why: str) -> str:
    return (
        f"The LoRA {lora.file.name} does not fit the model: {why}. It was made for another kind of model; choose that "
        "one, or another Lora."
    )
