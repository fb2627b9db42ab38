"""A model of the catalogue with random weights, made where it computes: speed does not depend on their values."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import DiffusionPipeline

from benchmarks.peers.stand_in_tokenizers import make_tokenizer
from benchmarks.peers.works import NARROW
from userdata.contract.bundle import BUNDLE, Bundle
from userdata.contract.catalogue import Model
from userdata.worker.model.device import choose_dtype
from userdata.worker.model.large_encoder import LARGE_ENCODERS


def narrow_bundle(root: Path) -> Bundle:
    """A bundle in `root` whose layouts have the kinds of parts that the real ones have, only narrower."""
    bundle = Bundle(root)
    for layout, parts in NARROW.items():
        shutil.copytree(BUNDLE.models / layout, bundle.models / layout)
        for part, changes in parts.items():
            file = bundle.models / layout / part / "config.json"
            file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **changes}), "utf-8")
    return bundle


def random_pipeline(entry: Model, *, device: torch.device, scratch: Path, bundle: Bundle) -> DiffusionPipeline:
    """The pipeline of `entry` with the layout in `bundle`, as the product's loader leaves it on `device`.

    Its large text encoder is in the machine's memory, where the product loads it.
    """
    configuration, parts = index_of(entry, bundle), {}
    kind = str(entry.pipeline)
    dtype = choose_dtype(device, "autocast", pipeline=kind)
    for part, described in configuration.items():
        if isinstance(described, list):
            parts[part] = _part(entry, part, described[1], device=device, dtype=dtype, scratch=scratch, bundle=bundle)
    options = {name: value for name, value in configuration.items() if not isinstance(value, list) and name[0] != "_"}
    if "safety_checker" in configuration:
        options["requires_safety_checker"] = False
    if device.type == "cuda" and (name := LARGE_ENCODERS.get(kind)):
        parts[name].to("cpu")
    pipeline: DiffusionPipeline = getattr(diffusers, kind)(**parts, **options)
    pipeline.set_progress_bar_config(disable=True)
    if hasattr(pipeline, "watermark"):
        pipeline.watermark = None
    pipeline.vae.enable_slicing()
    return pipeline


def random_network(
    entry: Model, part: str, *, device: torch.device, dtype: torch.dtype, bundle: Bundle
) -> torch.nn.Module:
    """The network `part` of `entry`: norms are 1, biases 0, and the rest is normal with variance 1/inputs.

    So no number leaves half precision's range, however deep the network.
    """
    library, kind = index_of(entry, bundle)[part]
    configuration = json.loads((bundle.models / str(entry.layout) / part / "config.json").read_text("utf-8"))
    cls = getattr(diffusers if library == "diffusers" else transformers, kind)
    with device, _default_type(dtype):
        network = (
            cls.from_config(configuration) if library == "diffusers" else cls(cls.config_class.from_dict(configuration))
        )
    generator = torch.Generator(device).manual_seed(len(part))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim == 1:
                weight.fill_(1.0 if name.endswith("weight") else 0.0)
            else:
                weight.normal_(std=1 / math.sqrt(weight.shape[1:].numel()), generator=generator)
    made: torch.nn.Module = network.eval().requires_grad_(False)
    return made


def _part(
    entry: Model,
    part: str,
    kind: str | None,
    *,
    device: torch.device,
    dtype: torch.dtype,
    scratch: Path,
    bundle: Bundle,
) -> Any:
    if kind is None or part in ("safety_checker", "feature_extractor", "image_encoder"):
        return None
    if part == "scheduler":
        return getattr(diffusers, kind).from_pretrained(bundle.models / str(entry.layout), subfolder=part)
    if part.startswith("tokenizer"):
        return make_tokenizer(part, kind, clip=bundle.tokenizer, scratch=scratch)
    return random_network(entry, part, device=device, dtype=dtype, bundle=bundle)


def index_of(entry: Model, bundle: Bundle) -> dict[str, Any]:
    """The parts of `entry` by their names, as its model_index.json has them."""
    index: dict[str, Any] = json.loads((bundle.models / str(entry.layout) / "model_index.json").read_text("utf-8"))
    return index


@contextmanager
def _default_type(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
