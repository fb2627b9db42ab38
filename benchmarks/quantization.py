"""`python -m benchmarks.quantization`: what quantized weights change in one step, and what they take, for each model.

The networks have the real shapes and random weights (normal, of variance one over the inputs), because no checkpoint is
at hand: the errors say what each type loses, not how a picture looks. `error` is the norm of the difference from the
step with the own weights, relative to that step's norm. With `--demo` the model in the box is drawn with instead, on
the CPU too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor, nn

from benchmarks.card import describe
from benchmarks.demo_quantized import compare_demo
from scripts.command_line.terminal.plain_text import say
from scripts.interruption.signals import ends_in_a_sentence
from userdata.contract.bundle import BUNDLE
from userdata.job.choices import Quantize
from userdata.worker.model.quantized import kept_as, quantize_layer

GIB = 2**30
EDGE = 1024
TIMES = 5
TYPES = (str(Quantize.int8), str(Quantize.fp8), str(Quantize.nf4))
MODELS = ("flux-schnell", "flux2-klein", "z-image", "chroma")
TEXT_TOKENS = {"flux-schnell": 256, "flux2-klein": 512, "z-image": 100, "chroma": 512}
# Narrow forms of the same networks, to try this program on a CPU.
NARROW: dict[str, dict[str, Any]] = {
    "z-image": {"dim": 128, "n_heads": 2, "n_kv_heads": 2, "n_layers": 1, "n_refiner_layers": 1}
    | {"axes_dims": [16, 24, 24], "cap_feat_dim": 64}
}
FLUX: dict[str, Any] = {"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 64, "num_attention_heads": 2}
FLUX |= {"joint_attention_dim": 64, "axes_dims_rope": [16, 24, 24]}
NARROW["flux-schnell"] = FLUX | {"pooled_projection_dim": 64}
NARROW["flux2-klein"] = FLUX | {"axes_dims_rope": [16, 16, 16, 16]}
NARROW["chroma"] = FLUX | {"approximator_hidden_dim": 64, "approximator_layers": 1}


def network_of(model: str, device: torch.device, *, narrow: bool) -> Any:
    """The transformer of `model` with random weights in bfloat16, on `device`."""
    folder = BUNDLE.models / model
    index = json.loads((folder / "model_index.json").read_text("utf-8"))
    config = json.loads((folder / "transformer/config.json").read_text("utf-8")) | (NARROW[model] if narrow else {})
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    torch.manual_seed(0)
    try:
        with torch.device(device):
            network = getattr(diffusers, index["transformer"][1]).from_config(config)
    finally:
        torch.set_default_dtype(usual)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    for name, parameter in network.named_parameters():
        if name.endswith("pad_token"):
            nn.init.zeros_(parameter)
    return network.eval().requires_grad_(False)


def step_of(model: str, network: Any, batch: int, edge: int) -> Callable[[], Tensor]:
    """One step of the network for `batch` random images of `edge` pixels, with as many tokens as its pipeline has.

    Z-Image's takes a list of images, of which each is computed with its own text.
    """
    device, dtype = network.device, torch.bfloat16
    made = torch.Generator(device).manual_seed(1)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=made, device=device, dtype=dtype)

    patches, tokens, config = (edge // 16) ** 2, TEXT_TOKENS[model], network.config
    moment = torch.full((batch,), 0.5, device=device, dtype=dtype)
    if model == "z-image":
        images = [random(16, 1, edge // 8, edge // 8) for _ in range(batch)]
        texts = [random(tokens, config.cap_feat_dim) for _ in range(batch)]
        return lambda: torch.stack(network(images, moment, texts, return_dict=False)[0])
    given: dict[str, Any] = {
        "hidden_states": random(batch, patches, config.in_channels),
        "encoder_hidden_states": random(batch, tokens, config.joint_attention_dim),
        "timestep": moment,
    }
    axes = len(config.axes_dims_rope)
    places = torch.zeros(patches, axes, device=device, dtype=dtype)
    places[:, 1] = torch.arange(patches, device=device) // (edge // 16)
    places[:, 2] = torch.arange(patches, device=device) % (edge // 16)
    of_text = torch.zeros(tokens, axes, device=device, dtype=dtype)
    if model == "flux2-klein":
        given |= {"img_ids": places.expand(batch, -1, -1), "txt_ids": of_text.expand(batch, -1, -1), "guidance": None}
    else:
        given |= {"img_ids": places, "txt_ids": of_text}
    if model == "flux-schnell":
        given["pooled_projections"] = random(batch, config.pooled_projection_dim)
    return lambda: network(**given, return_dict=False)[0]


def layers_of(network: nn.Module, kept: str) -> Iterator[tuple[str, str]]:
    """The linear layers that are quantized, each with its type."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Linear) and (wanted := kept_as(name, kept)):
            yield name, wanted


def quantize(network: nn.Module, kept: str) -> None:
    """Keeps the weights of `network` in that type."""
    for name, wanted in layers_of(network, kept):
        quantize_layer(network, name, wanted)


def measure(model: str, device: torch.device, batches: Sequence[int], *, narrow: bool) -> Iterator[dict[str, Any]]:
    """A row for the own weights and for each type, with the seconds of a step for each number of images."""
    edge, references = (64 if narrow else EDGE), {}
    for kept in ("off", *TYPES):
        network = network_of(model, device, narrow=narrow)
        row: dict[str, Any] = {"model": model, "kept": kept}
        if kept != "off":
            began = _now(device)
            quantize(network, kept)
            row["quantize_seconds"] = round(_now(device) - began, 2)
        if device.type == "cuda":
            torch.cuda.empty_cache()
            row["weights_gib"] = round(torch.cuda.memory_allocated(device) / GIB, 2)
            torch.cuda.reset_peak_memory_stats(device)
        for batch in batches:
            try:
                step = step_of(model, network, batch, edge)
                result = step().float()
                if kept == "off":
                    references[batch] = result
                row[f"error_{batch}"] = float((result - references[batch]).norm() / references[batch].norm())
                row[f"seconds_{batch}"] = round(_seconds(step, device), 5)
                del step  # it refers to the network
            except RuntimeError as error:  # a type that this card cannot do is a result, too
                row[f"failed_{batch}"] = str(error).splitlines()[0][:200]
        if device.type == "cuda":
            row["peak_gib"] = round(torch.cuda.max_memory_allocated(device) / GIB, 2)
        yield row
        del network


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic()


def _seconds(step: Callable[[], Tensor], device: torch.device) -> float:
    taken = []
    for _ in range(TIMES):
        began = _now(device)
        step()
        taken.append(_now(device) - began)
    return statistics.median(taken)


@torch.inference_mode()
def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a row for each model and type, and writes them as JSON where `--out` says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantization", description="Compare quantized weights.")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--narrow", action="store_true", help="narrow networks, to try this program on a CPU")
    parser.add_argument("--demo", action="store_true", help="draw with the model in the box instead")
    parser.add_argument("--out", type=Path, help="a file for the figures")
    options = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows: list[dict[str, Any]] = []
    say(f"machine: {json.dumps(describe(device))}\nrandom weights")
    of_models = (measure(model, device, options.batches, narrow=options.narrow) for model in options.models)
    found = [compare_demo(TYPES)] if options.demo else of_models
    for part in found:
        for row in part:
            rows.append(row)
            say("  ".join(f"{name} {value}" for name, value in row.items()))
            if options.out:
                options.out.write_text(json.dumps({"machine": describe(device), "rows": rows}, indent=1))


if __name__ == "__main__":
    with ends_in_a_sentence():
        main()
