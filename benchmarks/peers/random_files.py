"""Random weights in the files that the catalogue lists for a model, of their layout, names and number type."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.original_layout import original_layout
from benchmarks.peers.random_model import index_of, random_network
from benchmarks.peers.stand_in_tokenizers import OF_QWEN, TEMPLATE, stand_in
from benchmarks.peers.xl_layout import xl_checkpoint
from userdata.boot.steps.model_folder import complete_model_folder
from userdata.contract.bundle import Bundle
from userdata.contract.catalogue import File, Model

Weights = dict[str, torch.Tensor]
# Saved once, under the name of what they are tied to.
TIED = ("lm_head.weight", "encoder.embed_tokens.weight")
RANK = 64
NETWORKS = ("transformer", "unet", "text_encoder", "text_encoder_2", "vae")


def write_random_files(entry: Model, folder: Path, *, device: torch.device, bundle: Bundle) -> int:
    """Writes the files of `entry` into `folder`, as the boot leaves it, and returns their bytes.

    The numbers are drawn on `device`, for one part of the model at a time. Tokenizers are stand-ins.
    """
    if "unet" in index_of(entry, bundle):
        _write_checkpoint(entry, folder, device=device, bundle=bundle)
    else:
        for part in (name for name in NETWORKS if name in index_of(entry, bundle)):
            network = random_network(entry, part, device=device, dtype=torch.bfloat16, bundle=bundle)
            write_shards(entry, part, network, folder)
            del network  # before the next is made
            if device.type == "cuda":
                torch.cuda.empty_cache()
        write_tokenizers(entry, folder, bundle)
        complete_model_folder(folder, bundle, str(entry.layout))
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors"))


def _write_checkpoint(entry: Model, folder: Path, *, device: torch.device, bundle: Bundle) -> None:
    xl = "text_encoder_2" in index_of(entry, bundle)
    dtype = torch.float16 if xl else torch.float32
    parts = {
        part: random_network(entry, part, device=device, dtype=dtype, bundle=bundle).state_dict()
        for part in NETWORKS
        if part in index_of(entry, bundle)
    }
    for place in entry.places(folder):
        if place.parent == folder:
            save_weights(
                xl_checkpoint(parts)
                if xl
                else original_layout(text_encoder=parts["text_encoder"], unet=parts["unet"], vae=parts["vae"]),
                place,
            )
    for place in entry.lora_places(folder):
        save_weights(_lora(parts["unet"]), place)


def _lora(unet: Mapping[str, torch.Tensor]) -> Weights:
    """Changes every linear layer of the transformers in `unet`, as SDXL-Lightning's does."""
    changed: Weights = {}
    for name, weight in unet.items():
        if "transformer_blocks" in name and weight.ndim == 2:
            key = f"lora_unet_{name.removesuffix('.weight').replace('.', '_')}"
            rank = min(RANK, *weight.shape)
            changed[f"{key}.lora_up.weight"] = torch.randn(len(weight), rank, dtype=weight.dtype) / 1000
            changed[f"{key}.lora_down.weight"] = torch.randn(rank, weight.shape[1], dtype=weight.dtype) / 100
            changed[f"{key}.alpha"] = torch.tensor(float(rank))
    return changed


def save_weights(weights: Weights, place: Path) -> None:
    """Saves `weights` as a safetensors file, and makes its folder."""
    place.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.cpu().contiguous() for name, tensor in weights.items()}, place, metadata={"format": "pt"})


def write_shards(
    entry: Model,
    part: str,
    network: torch.nn.Module,
    folder: Path,
    *,
    save: Callable[[Weights, Path], None] = save_weights,
) -> None:
    """Saves the weights of `network`, the part `part` of `entry`, in the files that the hub has of it."""
    files = {place: file for place, file in entry.places(folder).items() if _is_of(place, part)}
    weights = {name: tensor for name, tensor in network.state_dict().items() if name not in TIED}
    if _bytes_a_weight(files, weights) > 3:
        weights = {name: tensor.float() for name, tensor in weights.items()}
    if "layers.0.self_attn.q_proj.weight" in weights:
        weights = {f"model.{name}": tensor for name, tensor in weights.items()}  # saved with the head left out
    largest = -(-sum(tensor.nbytes for tensor in weights.values()) // len(files))
    shards: list[Weights] = [{}]
    for name, tensor in weights.items():
        if len(shards) < len(files) and sum(one.nbytes for one in shards[-1].values()) + tensor.nbytes > largest:
            shards.append({})
        shards[-1][name] = tensor
    for place, shard in zip(files, shards, strict=True):
        save(shard, place)


def _is_of(place: Path, part: str) -> bool:
    return place.parent.name == part and place.suffix == ".safetensors"


def _bytes_a_weight(files: Mapping[Path, File], weights: Weights) -> float:
    return sum(file.expected_bytes for file in files.values()) / sum(tensor.numel() for tensor in weights.values())


def write_tokenizers(entry: Model, folder: Path, bundle: Bundle) -> None:
    """Writes the files of tokenizers that the catalogue lists for `entry`: stand-ins that know letters."""
    for place in entry.places(folder):
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.name == "tokenizer.json":
            stand_in(index_of(entry, bundle)[place.parent.name][1]).save(str(place))
        elif place.name == "tokenizer_config.json":
            own = {} if (folder / "tokenizer/chat_template.jinja").exists() else {"chat_template": TEMPLATE}
            place.write_text(json.dumps({"tokenizer_class": "Qwen2Tokenizer", **OF_QWEN, **own}), "utf-8")
        elif place.name == "chat_template.jinja":
            place.write_text(TEMPLATE, "utf-8")
