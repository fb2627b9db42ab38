"""Draws with the model in the box, whose linear layers in transformer blocks are quantized, and compares the images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from demo_model.measuring.generate import draw_prompts, load_pipeline
from userdata.contract.bundle import BUNDLE
from userdata.worker.model.quantized import quantize_layer

PROMPTS, SEED = 8, 42


def compare_demo(types: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row for each type: how far the images are from those with the own weights, on the CPU.

    `levels` is the mean difference in levels of 255, `layout` the correlation at an eighth of the size, as in
    docs/demo-model.md. The product quantizes no U-Net: this one is here because it is the only trained model at hand.
    """
    prompts = (BUNDLE.models.parent.parent / "demo_model/publishing/contact_sheet.txt").read_text("utf-8").splitlines()
    own = None
    for kept in ("off", *types):
        pipeline = load_pipeline(BUNDLE.models / "demo", "cpu")
        layers = [
            name
            for name, module in pipeline.unet.named_modules()
            if isinstance(module, nn.Linear) and "transformer_blocks" in name
        ]
        if kept != "off":
            for name in layers:
                quantize_layer(pipeline.unet, name, kept)
        drawn = draw_prompts(pipeline, prompts[:PROMPTS], seed=SEED)
        own = drawn if own is None else own
        ours, theirs = (_layout(one) for one in (own, drawn))
        layout = functional.cosine_similarity(ours, theirs, dim=1).mean()
        levels = float((drawn - own).abs().mean() * 127.5)
        yield {"kept": kept, "layers": len(layers), "levels": round(levels, 2), "layout": round(float(layout), 4)}


def _layout(pictures: torch.Tensor) -> torch.Tensor:
    small = functional.interpolate(pictures, scale_factor=1 / 8, mode="area").flatten(1)
    return small - small.mean(1, keepdim=True)
