"""The same weights give the same numbers in the product's networks as in the `ldm` package's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from .oracle import CONTEXT, SCALE_FACTOR, Oracle

# Single precision, of answers with a deviation of about 1: rounding only. Measured: 1e-5 at most.
TOLERANCE = 5e-5


def test_unet(oracle: Oracle, pipeline: Any) -> None:
    latents, context = _random(2, 4, 8, 16), _random(2, 77, CONTEXT)
    timesteps = torch.tensor([981, 1])
    with torch.no_grad():
        theirs = oracle.apply_model(latents, timesteps, context)
        ours = pipeline.unet(latents, timesteps, context).sample
    assert theirs.std() > 0.5
    assert _distance(ours, theirs) < TOLERANCE


def test_decoder(oracle: Oracle, pipeline: Any) -> None:
    latents = _random(1, 4, 8, 16)
    with torch.no_grad():
        theirs = oracle.vae.decode(latents)
        ours = pipeline.vae.decode(latents).sample
    assert theirs.std() > 0.5
    assert _distance(ours, theirs) < TOLERANCE
    assert pipeline.vae.config.scaling_factor == SCALE_FACTOR


def test_encoder(oracle: Oracle, pipeline: Any) -> None:
    image = _random(1, 3, 64, 128).clamp(-1, 1)
    with torch.no_grad():
        theirs = oracle.vae.encode(image)
        ours = pipeline.vae.encode(image).latent_dist
    assert theirs.mean.std() > 0.5
    assert _distance(ours.mean, theirs.mean) < TOLERANCE
    assert _distance(ours.std, theirs.std) < TOLERANCE


@pytest.mark.parametrize("prompt", ["A horse standing under a tree", "", "a horse " * 100])
def test_text_encoder(oracle: Oracle, pipeline: Any, prompt: str) -> None:
    from ldm.modules.encoders.modules import FrozenCLIPEmbedder

    embedder = FrozenCLIPEmbedder.__new__(FrozenCLIPEmbedder)
    torch.nn.Module.__init__(embedder)
    embedder.tokenizer = pipeline.tokenizer
    embedder.transformer = oracle.text_encoder
    embedder.device, embedder.max_length, embedder.layer = "cpu", 77, "last"
    with torch.no_grad():
        theirs = embedder.encode([prompt])
        ours, _ = pipeline.encode_prompt(prompt, torch.device("cpu"), 1, do_classifier_free_guidance=False)
    assert theirs.shape == (1, 77, CONTEXT)
    assert _distance(ours, theirs) < TOLERANCE


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())
