"""Trains the UNet and the text encoder together, on the latents of all scenes."""

from __future__ import annotations

import copy
import logging
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from demo_model.architecture import make_scheduler
from demo_model.train_vae import learning_rate

logger = logging.getLogger(__name__)

LEARNING_RATE = 1e-3
WARM_UP = 300
WEIGHT_DECAY = 0.01
EMA_DECAY = 0.999
# Share of the captions that are replaced by the empty one, for classifier-free guidance (arXiv:2207.12598).
EMPTY_CAPTIONS = 0.1
# Every so many steps the batch is of another size than the native one.
OTHER_SIZE_EVERY = 16
LOG_EVERY = 500


@dataclass(frozen=True)
class Latents:
    """Scenes of one size on the GPU: scaled latents, float16, and tokens, int16, scenes × captions × 77."""

    values: torch.Tensor
    tokens: torch.Tensor


def train_diffusion(
    unet: Any,
    text_encoder: Any,
    pools: list[Latents],
    empty: torch.Tensor,
    *,
    batch: int,
    steps: int,
    seconds: float,
    seed: int,
) -> tuple[Any, Any]:
    """The averaged UNet and text encoder after `steps` batches of `batch` scenes or after `seconds`.

    `pools` begins with the native size; `empty` holds the empty caption's 77 tokens. The learning rate falls with
    whichever of the two is nearer to its end, so that a slower GPU gives a finished model too.
    """
    device = pools[0].values.device
    generator = torch.Generator(device).manual_seed(seed)
    alphas = make_scheduler().alphas_cumprod.to(device)
    model = torch.nn.ModuleDict({"unet": unet, "text_encoder": text_encoder}).train()
    unet.to(memory_format=torch.channels_last)
    average = copy.deepcopy(model).eval().requires_grad_(False)
    fast_unet = torch.compile(unet) if device.type == "cuda" else unet
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=WEIGHT_DECAY, fused=True
    )
    started, running = time.monotonic(), torch.zeros((), device=device)
    for step in range(steps):
        # The first step compiles.
        done = 0.0 if step <= WARM_UP else (time.monotonic() - started) / seconds
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(max(step, round(done * steps)), steps, LEARNING_RATE, WARM_UP)
        other = len(pools) > 1 and step % OTHER_SIZE_EVERY == OTHER_SIZE_EVERY - 1
        pool = pools[1 + step // OTHER_SIZE_EVERY % (len(pools) - 1)] if other else pools[0]
        latents, tokens = _batch(pool, empty, batch, generator)
        times = torch.randint(len(alphas), (batch,), generator=generator, device=device)
        noise = torch.randn(latents.shape, generator=generator, device=device)
        signal, spread = (part[:, None, None, None] for part in (alphas[times].sqrt(), (1 - alphas[times]).sqrt()))
        noisy = (signal * latents + spread * noise).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            words = text_encoder(tokens)[0]
            # A size that comes rarely is not worth a compilation.
            predicted = (unet if other else fast_unet)(noisy, times, words, return_dict=False)[0]
        loss = functional.mse_loss(predicted.float(), signal * noise - spread * latents)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        _follow(average, model, min(EMA_DECAY, (step + 1) / (step + 10)))
        running += loss.detach()
        if (step + 1) % LOG_EVERY == 0 or step == steps - 1:
            mean = running.item() / (step % LOG_EVERY + 1)
            logger.info("unet %6d  loss %.4f  %.0f s", step + 1, mean, time.monotonic() - started)
            running.zero_()
    return average["unet"], average["text_encoder"]


def _batch(
    pool: Latents, empty: torch.Tensor, batch: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    count, captions = pool.tokens.shape[:2]
    device = generator.device
    rows = torch.randint(count, (batch,), generator=generator, device=device)
    which = torch.randint(captions, (batch,), generator=generator, device=device)
    tokens = pool.tokens[rows, which].long()
    dropped = torch.rand(batch, generator=generator, device=device) < EMPTY_CAPTIONS
    return pool.values[rows].float(), torch.where(dropped[:, None], empty, tokens)


@torch.no_grad()
def _follow(average: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in model.parameters()], 1 - decay)
