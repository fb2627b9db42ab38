"""Teaches the text encoder to read captions before the UNet hears from it.

Stable Diffusion's text encoder knew language before its UNet was trained. Ours learns from captions and from what their
scenes show: with heads that are thrown away afterwards, it says which things there are, how they are painted, where
they stand. Without it, the UNet's training had to find out from noisy pictures which colour belongs to which thing.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from demo_model.training.architecture import NATIVE_SIZE, TEXT_WIDTH
from demo_model.training.cuda_graph import Step, recorded
from demo_model.training.half_precision import half_precision
from demo_model.training.pace import paced_steps
from demo_model.world.backdrops import PLACES, TIMES
from demo_model.world.colours import COLOURS
from demo_model.world.labels import OWN_COLOUR, SEEN_RELATIONS, UNSAID
from demo_model.world.render import Columns
from demo_model.world.things import THINGS

logger = logging.getLogger(__name__)

BATCH = 1024
LEARNING_RATE = 1.5e-3
WARM_UP = 200
BOX_WEIGHT = 10.0
LOG_EVERY = 500
COUNTS = 3


@dataclass(frozen=True)
class Captions:
    """Scenes' tokens, int16, scenes × captions × 77, and the scenes themselves: labels and `boxes`."""

    tokens: torch.Tensor
    scenes: Columns


class Reader(nn.Module):
    """Asks the text encoder's output three questions: the first subject, the second one, and everything else."""

    def __init__(self) -> None:
        super().__init__()
        self.questions = nn.Parameter(torch.randn(3, TEXT_WIDTH) * 0.5)
        self.look = nn.MultiheadAttention(TEXT_WIDTH, 4, batch_first=True)
        self.thing = nn.Linear(TEXT_WIDTH, len(THINGS))
        self.colour = nn.Linear(TEXT_WIDTH, OWN_COLOUR + 1)
        self.box = nn.Linear(TEXT_WIDTH, 4)
        self.whole = nn.ModuleDict(
            {
                name: nn.Linear(TEXT_WIDTH, count)
                for name, count in {
                    "relation": len(SEEN_RELATIONS),
                    "count": COUNTS,
                    "backdrop": len(COLOURS),
                    "place": len(PLACES),
                    "time": len(TIMES),
                }.items()
            }
        )

    def forward(self, words: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits from `words`, captions × 77 × width; `box` has centre, width and height as shares of the picture."""
        answers, _ = self.look(self.questions.expand(len(words), -1, -1), words, words, need_weights=False)
        subjects, whole = answers[:, :2], answers[:, 2]
        named = {"things": self.thing(subjects), "colours": self.colour(subjects), "box": self.box(subjects)}
        return {**named, **{name: head(whole) for name, head in self.whole.items()}}


def subjects_boxes(boxes: torch.Tensor, things: torch.Tensor) -> torch.Tensor:
    """Centre, width and height of the first and the second subject: scenes × 2 × 4, in pixels.

    `boxes` is the renderer's table of what is drawn, back to front: of two subjects the first is drawn last.
    """
    paired = (things[:, 1] != UNSAID)[:, None, None]
    drawn = boxes[:, :2, 1:5]
    return torch.where(paired, drawn.flip(1), drawn)


def reading_loss(answers: dict[str, torch.Tensor], scenes: Columns) -> torch.Tensor:
    """Cross entropies of all answers, and the mean distance of the boxes; what is unsaid does not count."""
    loss = torch.zeros((), device=answers["box"].device)
    for name in ("things", "colours", "relation", "count", "backdrop", "place", "time"):
        wanted = scenes[name] - (scenes[name] > 0).long() if name == "count" else scenes[name]
        said = (wanted != UNSAID).sum().clamp(min=1)
        logits = answers[name].float().flatten(0, -2)
        loss = loss + functional.cross_entropy(logits, wanted.flatten(), ignore_index=UNSAID, reduction="sum") / said
    present = (scenes["things"] != UNSAID)[..., None]
    where = subjects_boxes(scenes["boxes"], scenes["things"]) / NATIVE_SIZE
    far = ((answers["box"].float() - where).abs() * present).sum() / (4 * present.sum().clamp(min=1))
    return loss + BOX_WEIGHT * far


def train_text_encoder(text_encoder: Any, captions: Captions, *, seconds: float, batch: int = BATCH) -> None:
    """Trains `text_encoder` in place for `seconds`, on the device that `captions` are on."""
    started = time.monotonic()
    device = captions.tokens.device
    model = nn.ModuleDict({"text_encoder": text_encoder, "reader": Reader().to(device)}).train()
    rate = torch.zeros((), device=device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=rate, betas=(0.9, 0.99), fused=True, capturable=device.type == "cuda"
    )
    training_step = recorded(_make_step(model, optimizer, captions, batch))
    for step, now_rate in paced_steps(steps=1_000_000, seconds=seconds, peak=LEARNING_RATE, warm_up=WARM_UP):
        rate.fill_(now_rate)
        loss = training_step()
        if step % LOG_EVERY == 0:
            logger.info("text encoder %5d  loss %.3f  %.0f s", step, loss.item(), time.monotonic() - started)
    logger.info("text encoder after %d steps  loss %.3f  %.0f s", step + 1, loss.item(), time.monotonic() - started)


def _make_step(model: nn.ModuleDict, optimizer: Any, captions: Captions, batch: int) -> Step:
    count, worded = captions.tokens.shape[:2]
    device = captions.tokens.device

    def step() -> torch.Tensor:
        rows = torch.randint(count, (batch,), device=device)
        which = torch.randint(worded, (batch,), device=device)
        tokens = captions.tokens[rows, which].long()
        with half_precision(device):
            answers = model["reader"](model["text_encoder"](tokens)[0])
        loss = reading_loss(answers, {name: column[rows] for name, column in captions.scenes.items()})
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    return step
