"""Trains the UNet and the text encoder together, on the latents of all scenes."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from demo_model.training.architecture import VAE_FACTOR, make_scheduler
from demo_model.training.cuda_graph import Step, recorded
from demo_model.training.half_precision import half_precision
from demo_model.training.pace import paced_steps

logger = logging.getLogger(__name__)

LEARNING_RATE = 1e-3
# The text encoder can read already, and must not forget it.
TEXT_SHARE = 0.3
WARM_UP = 300
WEIGHT_DECAY = 0.01
EMA_DECAY = 0.9995
# Share of the captions that are replaced by the empty one, for classifier-free guidance (arXiv:2207.12598).
EMPTY_CAPTIONS = 0.1
# How many times as much an error counts where things are: backdrops are most of a picture and easy.
FOREGROUND = 3.0
# Every so many steps the batch is of another size than the native one.
OTHER_SIZE_EVERY = 16
LOG_EVERY = 400

Keep = Callable[[Any, Any], None]


@dataclass(frozen=True)
class Latents:
    """Scenes of one size on the GPU.

    Scaled latents, float16; tokens, int16, scenes × captions × 77; and the boxes of the renderer's table.
    """

    values: torch.Tensor
    tokens: torch.Tensor
    boxes: torch.Tensor


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
    Raises FloatingPointError when the loss is no number any more.
    """
    started = time.monotonic()
    device = pools[0].values.device
    model = nn.ModuleDict({"unet": unet, "text_encoder": text_encoder}).train()
    unet.to(memory_format=torch.channels_last)
    average = copy.deepcopy(model).eval().requires_grad_(False)
    rate = torch.zeros((), device=device)
    optimizer = _Optimizer(unet, text_encoder, rate)
    # A size that comes rarely is not worth a compilation.
    compiled = (torch.compile(unet), torch.compile(text_encoder)) if device.type == "cuda" else (unet, text_encoder)
    training_steps = [
        recorded(_make_step(model, (unet, text_encoder) if number else compiled, optimizer, pool, empty, batch))
        for number, pool in enumerate(pools)
    ]
    logger.info("steps recorded after %.0f s", time.monotonic() - started)
    running = torch.zeros((), device=device)
    counted, kept, logged = 0, time.monotonic(), time.monotonic()
    left = max(1.0, seconds - (time.monotonic() - started))
    for step, now_rate in paced_steps(steps=steps, seconds=left, peak=LEARNING_RATE, warm_up=WARM_UP):
        rate.fill_(now_rate)
        running += training_steps[_pool_of(step, len(pools))]()
        _follow(average, model, min(EMA_DECAY, (step + 1) / (step + 10)))
        counted += 1
        if counted == LOG_EVERY:
            now, loss = time.monotonic(), running.item() / counted
            if loss != loss:
                raise FloatingPointError(f"the loss is no number any more, before step {step + 1}")
            pace = 1000 * (now - logged) / counted
            logger.info("unet %6d  loss %.4f  %.1f ms a step  %.0f s", step + 1, loss, pace, now - started)
            running.zero_()
            counted, logged = 0, now
        if time.monotonic() - kept > keep_seconds:
            keep(average["unet"], average["text_encoder"])
            kept = time.monotonic()
    logger.info("unet after %d steps  %.0f s", step + 1, time.monotonic() - started)
    keep(average["unet"], average["text_encoder"])


class _Optimizer:
    """AdamW for both parts, of which the text encoder learns more slowly; `rate` is the UNet's learning rate."""

    def __init__(self, unet: Any, text_encoder: Any, rate: torch.Tensor) -> None:
        self._rate, self._text_rate = rate, torch.zeros_like(rate)
        self.parameters = [*unet.parameters(), *text_encoder.parameters()]
        self._adamw = torch.optim.AdamW(
            [
                {"params": list(unet.parameters()), "lr": self._rate},
                {"params": list(text_encoder.parameters()), "lr": self._text_rate},
            ],
            betas=(0.9, 0.99),
            weight_decay=WEIGHT_DECAY,
            fused=True,
            capturable=rate.is_cuda,
        )

    def step(self) -> None:
        self._text_rate.copy_(self._rate * TEXT_SHARE)
        self._adamw.step()

    def zero_grad(self) -> None:
        self._adamw.zero_grad(set_to_none=True)


def _pool_of(step: int, pools: int) -> int:
    if pools == 1 or step % OTHER_SIZE_EVERY != OTHER_SIZE_EVERY - 1:
        return 0
    return 1 + step // OTHER_SIZE_EVERY % (pools - 1)


def _make_step(
    model: nn.ModuleDict, called: tuple[Any, Any], optimizer: _Optimizer, pool: Latents, empty: torch.Tensor, batch: int
) -> Step:
    """One step on a batch of `pool`, which returns its loss. `called` are the model's parts, compiled or not."""
    device = pool.values.device
    unet, text_encoder = called
    alphas = make_scheduler().alphas_cumprod.to(device)
    strata = torch.arange(batch, device=device)

    def step() -> torch.Tensor:
        latents, tokens, weights = _batch(pool, empty, batch)
        # One time out of each of `batch` equal stretches: the loss varies less than with independent ones.
        times = ((strata + torch.rand(batch, device=device)) * (len(alphas) / batch)).long().clamp(max=len(alphas) - 1)
        noise = torch.randn_like(latents)
        signal, spread = (part[:, None, None, None] for part in (alphas[times].sqrt(), (1 - alphas[times]).sqrt()))
        noisy = (signal * latents + spread * noise).contiguous(memory_format=torch.channels_last)
        with half_precision(device):
            words = text_encoder(tokens)[0]
            predicted = unet(noisy, times, words, return_dict=False)[0]
        errors = (predicted.float() - (signal * noise - spread * latents)).square()
        loss: torch.Tensor = (errors * weights).mean() / weights.mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(optimizer.parameters, 1.0)
        optimizer.step()
        return loss.detach()

    return step


def _batch(pool: Latents, empty: torch.Tensor, batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    count, captions = pool.tokens.shape[:2]
    device = pool.values.device
    rows = torch.randint(count, (batch,), device=device)
    which = torch.randint(captions, (batch,), device=device)
    tokens = pool.tokens[rows, which].long()
    dropped = torch.rand(batch, device=device) < EMPTY_CAPTIONS
    latents = pool.values[rows].float()
    weights = 1 + (FOREGROUND - 1) * things_seen(pool.boxes[rows], *latents.shape[2:])
    return latents, torch.where(dropped[:, None], empty, tokens), weights


def things_seen(boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """1 where a latent's place touches the box of a thing, else 0: scenes × 1 × height × width.

    `boxes` are the renderer's: scenes × slots × (thing or -1, centre, width and height in pixels, colour).
    """
    thing, x, y, wide, high = boxes[..., :5, None].unbind(2)
    edge = VAE_FACTOR
    across, down = (edge * (torch.arange(size, device=boxes.device) + 0.5) for size in (width, height))
    beside = (across - x).abs() < (wide + edge) / 2
    level = (down - y).abs() < (high + edge) / 2
    inside = (level[..., :, None] & beside[..., None, :]) & (thing >= 0)[..., None]
    return inside.any(1, keepdim=True).float()


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in model.parameters()], 1 - decay)
