"""Reads a LoRA file: its layers, each with the place of the model that it changes. Refuses one of another model."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from userdata.contract.safetensors_header import read_header
from userdata.job.run_error import RunError
from userdata.worker.model.lora_formulas import Parts, change_of, changes_nothing
from userdata.worker.model.lora_keys import Components, Place, layer_and_part, parameters_of, places_in
from userdata.worker.model.mistaken import mistaken_for
from userdata.worker.model.peft_settings import PeftSettings

logger = logging.getLogger(__name__)
# What kohya's trainer puts beside the layers: an embedding that was learned with them, by its name.
_EMBEDDING = re.compile(r"bundle_emb\.(.+?)\..+")
# The widths of what the networks attend to.
MODELS_BY_WIDTH = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}
MOST_TOLD = 3
Weights = tuple[str, tuple[str, ...], str]


@dataclass(frozen=True)
class Layer:
    """What a file does to one place of the model.

    `name` is the file's own, `attribute` the parameter of the place's modules that is changed, `weight` or `bias`.
    `scale` is what the header says of the layer, see `change_of`.
    """

    name: str
    place: Place
    attribute: str
    parts: Parts
    scale: float | None

    @property
    def weights(self) -> Weights:
        """The parameters that are changed together, as `parameters_of` takes them."""
        return (self.place.component, self.place.modules, self.attribute)


def open_lora(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of `file` by their names, mapped, and its header's metadata. Raises `RunError` for another file."""
    try:
        _, metadata, _ = read_header(file)  # with bounds that the library has not
        with safe_open(file, framework="pt") as content:
            return {name: content.get_tensor(name) for name in content.keys()}, metadata  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        why = mistaken_for(file) or str(error)
        raise RunError(f"The LoRA {file.name} is no safetensors file ({why}). Name another one.") from error


def check_names(title: str, names: Iterable[str]) -> None:
    """Raises `RunError` when tensors of these names are no LoRA, or not wholly one. `title` names the file."""
    names = [name for name in names if not _EMBEDDING.fullmatch(name)]
    strange = [name for name in names if layer_and_part(name) is None]
    if len(strange) == len(names):
        raise RunError(
            f"{title} is no LoRA: none of its {len(names)} tensors is one of a LoRA's. A whole checkpoint is named as "
            "Model."
        )
    if strange:
        raise RunError(
            f"The LoRA {title} cannot be applied as a whole: {len(strange)} of its {len(names)} tensors belong to no "
            f"formula that is known here ({_some(strange)}). LoRA, DoRA, LoHa and LoKr are known. Choose another Lora."
        )


def layers_of(
    title: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], components: Components
) -> list[Layer]:
    """The layers of a file for the model with these `components`, each of which fits.

    `tensors` and the model may be on the device `meta`: only shapes are looked at. Raises `RunError` for a file that is
    not wholly a LoRA of this model; `title` names the file.
    """
    check_names(title, tensors)
    found: defaultdict[tuple[str, str], dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        layer, part = layer_and_part(name) or (None, "")
        if layer is None:
            continue
        attribute, part = ("bias", "diff") if part == "diff_b" else ("weight", part)
        if part in found[layer, attribute]:
            raise RunError(
                f"The LoRA {title} holds several adapters: {layer} has two tensors {part}. Save one adapter to a file."
            )
        found[layer, attribute][part] = tensor
    places, settings = places_in(components), PeftSettings(metadata)
    layers, strange = [], []
    for (name, attribute), parts in found.items():
        if set(parts) == {"alpha"}:
            continue  # an alpha of nothing
        place = places.get(name)
        if place is None or not _fits(parts, components, place, attribute):
            strange.append(name)
            continue
        scale = None
        try:
            if "down" in parts and "alpha" not in parts:
                scale = settings.scale(place.component, place.changed[0], len(parts["down"]))
        except (ValueError, ZeroDivisionError) as error:
            raise RunError(
                f"The header of the LoRA {title} has settings of PEFT that cannot be read ({error}). Choose another."
            ) from error
        layers.append(Layer(name, place, attribute, parts, scale))
    if strange or not layers:
        raise RunError(_does_not_fit(title, tensors, strange, len(layers)))
    return layers


def read_lora(file: Path, components: Components) -> list[Layer]:
    """The layers of `file` for the model with these `components`, which may be on the device `meta`.

    Raises `RunError` for a file that does not fit the model, that holds what is no number, or that changes nothing.
    """
    tensors, metadata = open_lora(file)
    layers = layers_of(file.name, tensors, metadata, components)
    broken = [layer.name for layer in layers if not all(map(is_finite, layer.parts.values()))]
    if broken:
        raise RunError(
            f"The LoRA {file.name} is broken: {len(broken)} of its {len(layers)} layers hold what is no number (NaN or "
            f"infinity), for example {broken[0]}. Choose another Lora, or an earlier one of its training."
        )
    if all(changes_nothing(layer.parts) for layer in layers):
        raise RunError(
            f"The LoRA {file.name} changes nothing: all of its {len(layers)} layers come out as 0, as at the beginning "
            "of a training. Choose another Lora."
        )
    for embedding in sorted({embedding[1] for embedding in map(_EMBEDDING.fullmatch, tensors) if embedding}):
        logger.warning("%s carries the embedding %s, which is not applied", file.name, embedding)
    return layers


def is_finite(tensor: Tensor) -> bool:
    """Whether `tensor` holds numbers alone."""
    return bool(torch.isfinite(tensor.float()).all())


def _fits(parts: Parts, components: Components, place: Place, attribute: str) -> bool:
    shapes = [one.shape for one in parameters_of(components, place.component, place.changed, attribute)]
    if not shapes or ("alpha" in parts and parts["alpha"].numel() != 1):
        return False
    whole = torch.empty([sum(shape[0] for shape in shapes), *shapes[0][1:]], device="meta")
    try:
        change_of({name: part.to("meta") for name, part in parts.items()}, whole, scale=1.0)
    except (RuntimeError, ValueError, IndexError, TypeError):
        return False
    return True


def _does_not_fit(title: str, tensors: Mapping[str, Tensor], strange: list[str], fitting: int) -> str:
    kind = _kind(tensors)
    return (
        f"The LoRA {title} does not fit the model: {len(strange)} of its {len(strange) + fitting} layers are none of "
        f"the model's, or of another shape ({_some(strange)}). It was made for {kind or 'another kind of model'}: "
        "choose that Model, or another Lora. Nothing of it was applied."
    )


def _kind(tensors: Mapping[str, Tensor]) -> str | None:
    """The kind of model that a file was made for, as far as its names and widths tell."""
    names = [name.replace(".", "_") for name in tensors]
    if any("to_qkv_mlp_proj" in name or "stream_modulation" in name for name in names):
        return "FLUX.2"
    if any("context_refiner_" in name or re.search(r"layers_\d+_(attention|feed_forward)_", name) for name in names):
        return "Z-Image"
    if any(re.search(r"(double|single|single_transformer)_blocks_", name) for name in names):
        return "FLUX"
    if any("te2_" in name or "text_encoder_2_" in name for name in names):
        return "Stable Diffusion XL"
    widths = {
        tensor.shape[1]
        for name, tensor in tensors.items()
        if (named := layer_and_part(name)) and named[0].endswith("attn2_to_k") and named[1] in ("down", "hada_w1_b")
    }
    return MODELS_BY_WIDTH.get(widths.pop()) if len(widths) == 1 else None


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else ""
    return ", ".join(names[:MOST_TOLD]) + more
