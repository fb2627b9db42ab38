"""Loads a transformer with the weights of its blocks in a smaller type. `userdata.job.quantization` chooses the type.

Each weight is read to the card, quantized there, and forgotten, one after the other, so that neither the card nor the
machine ever holds the network in its own type: 24 GB of FLUX.1, where a g6.xlarge has 22 on the card and 16 beside it.
Rejected: diffusers' TorchAoConfig, which holds the network in its own type first.

Embeddings, norms, the modulation (adaLN) and the last projection keep their own type. They are few, and an error in
them is one in everything behind. The modulation of FLUX.1 alone is a quarter of its weights, and without it FLUX.1
would not fit 24 GB beside its text encoder: it is kept in int8, whose error is the smallest, with every type.
"""

from __future__ import annotations

import re
from pathlib import Path

import diffusers
import torch
from accelerate import init_empty_weights
from diffusers import DiffusionPipeline
from safetensors import safe_open
from torch import Tensor, nn
from torch.cuda import get_device_capability

from userdata.contract.catalogue import OFF
from userdata.contract.safetensors_header import read_header
from userdata.job.choices import Quantize
from userdata.job.quantization import why_not_card
from userdata.job.run_error import RunError
from userdata.worker.model.device import device_name
from userdata.worker.model.kept_linear import Fp8Linear, Int8Linear, Nf4Linear

IN_BLOCKS = re.compile(
    r"(?:(?:single_)?transformer_blocks|layers|noise_refiner|context_refiner)\.\d+\."
    r"(?:attn|attention|ff|ff_context|feed_forward|proj_mlp|proj_out)\b.*"
)
KINDS = {Quantize.int8: Int8Linear, Quantize.nf4: Nf4Linear, Quantize.fp8: Fp8Linear}
MODULATION = re.compile(r"(?:single_)?transformer_blocks\.\d+\.norm\w*\.linear")


def kept_as(name: str, kept: str) -> str | None:
    """The type of the linear layer called `name` in a network that is kept in `kept`; None for its own."""
    if IN_BLOCKS.fullmatch(name):
        return kept
    return str(Quantize.int8) if MODULATION.fullmatch(name) else None


def kept_in(pipeline: DiffusionPipeline) -> str:
    """The type that the weights of the pipeline's network are kept in, `off` for their own."""
    return str(getattr(pipeline.components.get("transformer"), "kept", OFF))


def load_quantized(folder: Path, kind: str, kept: str, *, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The network of diffusers' class `kind` in `folder`, on `device`; what is not quantized is in `dtype`.

    Raises `RunError` for weights that are missing, unknown or no numbers, and for a type that the card cannot compute
    with.
    """
    if device.type == "cuda" and (why := why_not_card(kept, device_name(device), get_device_capability(device))):
        raise RunError(f"The weights cannot be kept in {kept} here: {why}.")
    cls = getattr(diffusers, kind)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with init_empty_weights():
            network: nn.Module = cls.from_config(cls.load_config(folder))
    finally:
        torch.set_default_dtype(usual)
    for file in sorted(folder.glob("*.safetensors")):
        read_header(file)  # with bounds that the library has not
        with safe_open(file, "pt", device=str(device)) as tensors:
            for name in tensors.keys():  # noqa: SIM118  # what is opened is no mapping
                _put(network, name, tensors.get_tensor(name).to(dtype), kept)
    if missing := [name for name, tensor in network.named_parameters() if tensor.is_meta]:
        raise RunError(f"The model in {folder} has no {missing[0]}. Complete that model, or name another.")
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = buffer.to(device)
    network.kept = kept  # type: ignore[assignment]
    return network.eval().requires_grad_(False)


def _put(network: nn.Module, name: str, tensor: Tensor, kept: str) -> None:
    owner, _, attribute = name.rpartition(".")
    try:
        module = network.get_submodule(owner)
        expected = module._parameters[attribute]
    except (AttributeError, KeyError):
        raise RunError(f"The model's network has no {name}. Complete that model, or name another.") from None
    if expected is None or expected.shape != tensor.shape:
        raise RunError(f"The model's {name} has another shape than its configuration says. Name another model.")
    module._parameters[attribute] = nn.Parameter(tensor, requires_grad=False)
    if attribute == "weight" and isinstance(module, nn.Linear) and (wanted := kept_as(owner, kept)):
        if not torch.isfinite(tensor).all():
            raise RunError(f"The model's {name} holds what is no number (NaN or infinity). Choose another Model.")
        quantize_layer(network, owner, wanted)


def quantize_layer(network: nn.Module, name: str, kept: str) -> None:
    """Keeps the weight of the linear layer `name` of `network` in `kept` from now on."""
    layer = network.get_submodule(name)
    assert isinstance(layer, nn.Linear)
    network.set_submodule(name, KINDS[Quantize(kept)](layer))
