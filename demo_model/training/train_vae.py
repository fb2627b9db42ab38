"""Trains the autoencoder on freshly drawn scenes."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional

from demo_model.training.cuda_graph import Step, recorded
from demo_model.training.half_precision import half_precision
from demo_model.training.pace import paced_steps
from demo_model.world.render import Columns, Renderer

logger = logging.getLogger(__name__)

LEARNING_RATE = 1.2e-3
WARM_UP = 100
KL_WEIGHT = 5e-4
EDGE_WEIGHT = 1.0
LOG_EVERY = 250


def random_rows(tables: Columns, count: int) -> Columns:
    """`count` rows of a table by lot."""
    rows = next(iter(tables.values()))
    chosen = torch.randint(rows.shape[0], (count,), device=rows.device)
    return {name: column[chosen] for name, column in tables.items()}


def _reconstruction_loss(drawn: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of the pixels, of their differences to the neighbours, and of the picture at half size."""
    loss = functional.l1_loss(drawn, picture)
    for axis in (2, 3):
        loss = loss + EDGE_WEIGHT * functional.l1_loss(drawn.diff(dim=axis), picture.diff(dim=axis))
    return loss + functional.l1_loss(functional.avg_pool2d(drawn, 2), functional.avg_pool2d(picture, 2))


def train_vae(vae: Any, renderer: Renderer, table: Columns, *, batch: int, steps: int, seconds: float) -> None:
    """Trains `vae`, on the renderer's device, for `steps` batches of `batch` scenes out of `table`, or for `seconds`.

    Leaves its `scaling_factor` set so that the scaled latents have variance 1.
    """
    device = renderer.device
    table = {name: column.to(device) for name, column in table.items()}
    vae.train().to(memory_format=torch.channels_last)
    rate = torch.zeros((), device=device)
    optimizer = torch.optim.AdamW(
        vae.parameters(),
        lr=rate,
        betas=(0.9, 0.99),
        weight_decay=0.0,
        fused=True,
        capturable=device.type == "cuda",
    )
    started = time.monotonic()
    training_step = recorded(_make_step(vae, renderer, optimizer, table, batch))
    logger.info("vae step recorded after %.0f s", time.monotonic() - started)
    left = max(1.0, seconds - (time.monotonic() - started))
    for step, now_rate in paced_steps(steps=steps, seconds=left, peak=LEARNING_RATE, warm_up=WARM_UP):
        rate.fill_(now_rate)
        results = training_step()
        if step % LOG_EVERY == 0:
            loss, kl, error = results.tolist()
            logger.info(
                "vae %5d  loss %.4f  kl %.2f  psnr %.2f dB  %.0f s",
                step,
                loss,
                kl,
                -10 * math.log10(max(error, 1e-9)),
                time.monotonic() - started,
            )
    vae.eval()
    latents = torch.cat([latent for latent, _ in zip(encode_all(vae, renderer, table), range(8), strict=False)])
    vae.register_to_config(scaling_factor=round(1 / latents.float().std().item(), 5))
    logger.info("vae scaling_factor %.5f", vae.config.scaling_factor)


def _make_step(vae: Any, renderer: Renderer, optimizer: Any, table: Columns, batch: int) -> Step:
    """One step on a batch of `table`; its result holds the loss, its part of KL divergence and the squared error."""
    device = renderer.device
    reconstruct = torch.compile(_reconstructed) if device.type == "cuda" else _reconstructed

    def step() -> torch.Tensor:
        picture = renderer.draw(random_rows(table, batch)).contiguous(memory_format=torch.channels_last)
        with half_precision(device):
            drawn, kl = reconstruct(vae, picture)
        loss = _reconstruction_loss(drawn, picture) + KL_WEIGHT * kl
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        return torch.stack([loss, kl, (drawn - picture).square().mean() / 4]).detach()

    return step


def _reconstructed(vae: Any, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The picture back from a sample of its latents, and the latents' KL divergence, per number."""
    mean, log_variance = _moments(vae, picture)
    latents = mean + torch.randn_like(mean) * (log_variance / 2).exp()
    drawn = vae.decoder(vae.post_quant_conv(latents)).float()
    return drawn, 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


def _moments(vae: Any, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and logarithm of the variance of the latents, float32."""
    mean, log_variance = vae.quant_conv(vae.encoder(picture)).float().chunk(2, dim=1)
    return mean, log_variance.clamp(-30, 20)


@torch.no_grad()
def encode_all(
    vae: Any, renderer: Renderer, table: Columns, *, width: int = 128, height: int = 128, batch: int = 500
) -> Iterator[torch.Tensor]:
    """The latents' means of all rows of `table`, a batch at a time: float16, not scaled."""
    for start in range(0, next(iter(table.values())).shape[0], batch):
        rows = {name: column[start : start + batch] for name, column in table.items()}
        picture = renderer.draw(rows, width, height).contiguous(memory_format=torch.channels_last)
        with half_precision(renderer.device):
            mean, _ = _moments(vae, picture)
        yield mean.half()
