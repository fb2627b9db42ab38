"""Trains the UNet and the text encoder together, on the latents of all scenes."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from demo_model.architecture import make_scheduler
from demo_model.cuda_graph import Step, recorded
from demo_model.half_precision import half_precision
from demo_model.pace import paced_steps

logger = logging.getLogger(__name__)

LEARNING_RATE = 1e-3
WARM_UP = 300
WEIGHT_DECAY = 0.01
EMA_DECAY = 0.9995
# Share of the captions that are replaced by the empty one, for classifier-free guidance (arXiv:2207.12598).
EMPTY_CAPTIONS = 0.1
# Every so many steps the batch is of another size than the native one.
OTHER_SIZE_EVERY = 16
LOG_EVERY = 400

Keep = Callable[[Any, Any], None]


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
    keep: Keep,
    keep_seconds: float,
) -> None:
    """Trains for `steps` batches of `batch` scenes or for `seconds`, whichever is less.

    `pools` begins with the native size; `empty` holds the empty caption's 77 tokens. `keep` is called with the averaged
    UNet and text encoder every `keep_seconds` and at the end, so that a training that is cut off leaves a model too.
    """
    started = time.monotonic()
    device = pools[0].values.device
    model = torch.nn.ModuleDict({"unet": unet, "text_encoder": text_encoder}).train()
    unet.to(memory_format=torch.channels_last)
    average = copy.deepcopy(model).eval().requires_grad_(False)
    rate = torch.zeros((), device=device)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=rate,
        betas=(0.9, 0.99),
        weight_decay=WEIGHT_DECAY,
        fused=True,
        capturable=device.type == "cuda",
    )
    # A size that comes rarely is not worth a compilation.
    fast_unet = torch.compile(unet) if device.type == "cuda" else unet
    training_steps = [
        recorded(_make_step(model, unet if number else fast_unet, optimizer, pool, empty, batch))
        for number, pool in enumerate(pools)
    ]
    logger.info("steps recorded after %.0f s", time.monotonic() - started)
    running, spoilt = torch.zeros((), device=device), torch.zeros((), dtype=torch.int64, device=device)
    counted, kept, logged = 0, time.monotonic(), time.monotonic()
    left = max(1.0, seconds - (time.monotonic() - started))
    for step, now_rate in paced_steps(steps=steps, seconds=left, peak=LEARNING_RATE, warm_up=WARM_UP):
        rate.fill_(now_rate)
        loss = training_steps[_pool_of(step, len(pools))]()
        sound = loss.isfinite()
        running += torch.where(sound, loss, 0)
        spoilt += ~sound
        _follow(average, model, min(EMA_DECAY, (step + 1) / (step + 10)))
        counted += 1
        if counted == LOG_EVERY:
            now = time.monotonic()
            if int(spoilt) > counted // 2:
                raise FloatingPointError(f"the loss is no number any more, before step {step + 1}")
            pace = 1000 * (now - logged) / counted
            logger.info(
                "unet %6d  loss %.4f  %d spoilt  %.1f ms a step  %.0f s",
                step + 1,
                running.item() / max(1, counted - int(spoilt)),
                int(spoilt),
                pace,
                now - started,
            )
            running.zero_()
            spoilt.zero_()
            counted, logged = 0, now
        if time.monotonic() - kept > keep_seconds:
            keep(average["unet"], average["text_encoder"])
            kept = time.monotonic()
    logger.info("unet after %d steps  %.0f s", step + 1, time.monotonic() - started)
    keep(average["unet"], average["text_encoder"])


def _pool_of(step: int, pools: int) -> int:
    if pools == 1 or step % OTHER_SIZE_EVERY != OTHER_SIZE_EVERY - 1:
        return 0
    return 1 + step // OTHER_SIZE_EVERY % (pools - 1)


def _make_step(
    model: torch.nn.ModuleDict, unet: Any, optimizer: Any, pool: Latents, empty: torch.Tensor, batch: int
) -> Step:
    """One step on a batch of `pool`, which returns its loss. `unet` is the model's, compiled or not."""
    device = pool.values.device
    alphas = make_scheduler().alphas_cumprod.to(device)
    strata = torch.arange(batch, device=device)

    def step() -> torch.Tensor:
        latents, tokens = _batch(pool, empty, batch)
        # One time out of each of `batch` equal stretches: the loss varies less than with independent ones.
        times = ((strata + torch.rand(batch, device=device)) * (len(alphas) / batch)).long().clamp(max=len(alphas) - 1)
        noise = torch.randn_like(latents)
        signal, spread = (part[:, None, None, None] for part in (alphas[times].sqrt(), (1 - alphas[times]).sqrt()))
        noisy = (signal * latents + spread * noise).contiguous(memory_format=torch.channels_last)
        with half_precision(device):
            words = model["text_encoder"](tokens)[0]
            predicted = unet(noisy, times, words, return_dict=False)[0]
        loss = functional.mse_loss(predicted.float(), signal * noise - spread * latents)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        # A batch that overflows teaches nothing instead of spoiling every weight; a recorded step knows no if.
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
        optimizer.step()
        return loss.detach()

    return step


def _batch(pool: Latents, empty: torch.Tensor, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    count, captions = pool.tokens.shape[:2]
    device = pool.values.device
    rows = torch.randint(count, (batch,), device=device)
    which = torch.randint(captions, (batch,), device=device)
    tokens = pool.tokens[rows, which].long()
    dropped = torch.rand(batch, device=device) < EMPTY_CAPTIONS
    return pool.values[rows].float(), torch.where(dropped[:, None], empty, tokens)


@torch.no_grad()
def _follow(average: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in model.parameters()], 1 - decay)
