"""Trains the judge on composed scenes: `python -m demo_model.measuring.train_classifier FILE`.

It sees every combination, the held-out ones too, and a part of the pictures blurred; it never sees a picture that the
model made.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random

import torch
from torch.nn import functional

from demo_model.measuring.classifier import Classifier
from demo_model.training.half_precision import half_precision
from demo_model.training.pace import paced_steps
from demo_model.training.train_vae import random_rows
from demo_model.world.labels import UNSAID, label
from demo_model.world.render import Columns, Renderer, tabulate
from demo_model.world.scene import draw_any_scene
from scripts.interruption.signals import ends_in_a_sentence

logger = logging.getLogger(__name__)

BATCH = 256
CHUNK, CHUNKS = 10_000, 30
LEARNING_RATE = 2e-3
WARM_UP = 200
MOST_STEPS = 100_000
LOG_EVERY = 250
# This share of each batch is blurred.
BLURRED = 0.4
SEED = 77_000_000


def _make_chunk(seed: int) -> Columns:
    torch.set_num_threads(1)
    random = Random(seed)  # noqa: S311
    scenes = [draw_any_scene(random) for _ in range(CHUNK)]
    return {**tabulate(scenes, seed), **label(scenes)}


def make_table(chunks: int, seed: int = SEED) -> Columns:
    """Scenes of every kind with their labels. Forks, so it has to come before the GPU is used."""
    workers = max(1, (os.cpu_count() or 2) - 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as executor:
        made = list(executor.map(_make_chunk, range(seed, seed + chunks)))
    return {name: torch.cat([chunk[name] for chunk in made]) for name in made[0]}


def classifier_loss(answers: dict[str, torch.Tensor], rows: Columns) -> torch.Tensor:
    """Cross entropies of all answers; what is unsaid does not count."""
    wanted = torch.zeros_like(answers["things"])
    for column in rows["things"].unbind(1):
        said = column != UNSAID
        wanted[said, column[said]] = 1
    things = functional.binary_cross_entropy_with_logits(answers["things"], wanted, reduction="none").sum(1).mean()
    loss = things + functional.cross_entropy(
        answers["colours"].flatten(0, 1), rows["colours"].flatten(), ignore_index=UNSAID
    )
    count = rows["count"] - (rows["count"] != UNSAID).long()
    loss = loss + functional.cross_entropy(answers["count"], count, ignore_index=UNSAID)
    for name in ("relation", "backdrop", "place", "time"):
        # A sum over at least one row: a mean over none would be no number.
        said = (rows[name] != UNSAID).sum().clamp(min=1)
        loss = loss + functional.cross_entropy(answers[name], rows[name], ignore_index=UNSAID, reduction="sum") / said
    return loss


def softened(picture: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The pictures at a lower resolution and with a little noise, as an autoencoder might give them back."""
    edge = int(torch.randint(40, 112, (), generator=generator, device=picture.device))
    small = functional.interpolate(picture, size=(edge, edge), mode="bilinear", antialias=True)
    back = functional.interpolate(small, size=tuple(picture.shape[2:]), mode="bilinear")
    return back + 0.04 * torch.randn(back.shape, generator=generator, device=picture.device)


def jittered(picture: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The pictures a little lighter or darker and with more or less contrast, each in its own way."""
    gain, shift = (
        torch.rand(len(picture), 1, 1, 1, generator=generator, device=picture.device) * 2 - 1 for _ in range(2)
    )
    return (picture * (1 + 0.1 * gain) + 0.06 * shift).clamp(-1, 1)


def train_classifier(file: Path, *, seconds: float, chunks: int = CHUNKS, batch: int = BATCH) -> None:
    """Trains on `chunks` times 10,000 scenes for `seconds` and writes the weights to `file`, in half precision."""
    table = make_table(chunks)
    torch.backends.cudnn.benchmark = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(SEED)
    generator = torch.Generator(device).manual_seed(SEED)
    table = {name: column.to(device) for name, column in table.items()}
    renderer = Renderer(device)
    classifier = Classifier().to(device)
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rate = torch.zeros((), device=device)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=rate, weight_decay=0.02, fused=True)
    started = time.monotonic()
    for step, now_rate in paced_steps(steps=MOST_STEPS, seconds=seconds, peak=LEARNING_RATE, warm_up=WARM_UP):
        rate.fill_(now_rate)
        rows = random_rows(table, batch)
        picture = jittered(renderer.draw(rows), generator)
        blurred = round(batch * BLURRED)
        picture = torch.cat([softened(picture[:blurred], generator), picture[blurred:]])
        with half_precision(device):
            answers = classifier(picture.contiguous(memory_format=torch.channels_last), rows["things"].clamp(min=0))
        loss = classifier_loss({name: answer.float() for name, answer in answers.items()}, rows)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(classifier.parameters(), 2.0)
        optimizer.step()
        if step % LOG_EVERY == 0:
            logger.info("classifier %5d  loss %.3f  %.0f s", step, loss.item(), time.monotonic() - started)
    logger.info("classifier after %d steps  %.0f s", step + 1, time.monotonic() - started)
    torch.save({name: weight.half().cpu() for name, weight in classifier.state_dict().items()}, file)


def load_classifier(file: Path, device: str) -> Classifier:
    """The trained judge."""
    classifier = Classifier()
    weights = torch.load(file, map_location="cpu", weights_only=True)
    classifier.load_state_dict({name: w.float() if w.is_floating_point() else w for name, w in weights.items()})
    return classifier.to(device).eval()


if __name__ == "__main__":
    with ends_in_a_sentence():
        logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
        parser = argparse.ArgumentParser(description="Train the classifier that judges the model.")
        parser.add_argument("file", type=Path, help="the file to write the weights to")
        parser.add_argument("--seconds", type=float, default=480)
        parser.add_argument("--chunks", type=int, default=CHUNKS, help="how many times 10,000 scenes")
        parser.add_argument("--batch", type=int, default=BATCH, help="scenes in a batch")
        arguments = parser.parse_args()
        train_classifier(arguments.file, seconds=arguments.seconds, chunks=arguments.chunks, batch=arguments.batch)
