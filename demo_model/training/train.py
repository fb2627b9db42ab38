"""Trains the model in the box from nothing, on one GPU: `python -m demo_model.training.train FOLDER`."""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import time
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch

from demo_model.training.architecture import (
    NATIVE_SIZE,
    count_parameters,
    load_tokenizer,
    make_text_encoder,
    make_unet,
    make_vae,
)
from demo_model.training.export import export
from demo_model.training.tokenizer import write_tokenizer
from demo_model.training.train_diffusion import Latents, train_diffusion
from demo_model.training.train_text_encoder import Captions, train_text_encoder
from demo_model.training.train_vae import encode_all, train_vae
from demo_model.world.render import Columns, Renderer
from demo_model.world.scene_pool import Chunk, ScenePool, tokenize
from scripts.interruption.signals import ends_in_a_sentence

logger = logging.getLogger(__name__)

SEED = 20
SQUARE = (NATIVE_SIZE, NATIVE_SIZE)
# Scenes of other sizes, by width and height in pixels, keep the model usable near its own.
OTHER_SIZES = {(160, 128): 10_000, (128, 160): 10_000}
VAE_CHUNKS = 14


@dataclass(frozen=True)
class Recipe:
    """How much is done: batches of how many scenes, at most how many of them, and for at most how long, in seconds.

    `seconds` is for everything, `vae_seconds` and `text_seconds` are parts of it; `scenes` counts those of the native
    size. Every `keep_seconds` the model is written as far as it is. What is given here is what the model in the box was
    trained with.
    """

    scenes: int = 200_000
    vae_batch: int = 64
    vae_steps: int = 30_000
    vae_seconds: float = 150
    text_seconds: float = 15
    batch: int = 256
    steps: int = 60_000
    seconds: float = 540
    keep_seconds: float = 120


def train(folder: Path, recipe: Recipe, other_sizes: dict[tuple[int, int], int] = OTHER_SIZES) -> None:
    """Writes the trained model into `folder`, in the layout of diffusers."""
    started = time.monotonic()
    write_tokenizer(folder / "tokenizer")
    tokenizer = load_tokenizer(folder / "tokenizer")
    scenes = {SQUARE: recipe.scenes, **other_sizes}
    pool = ScenePool(scenes, folder / "tokenizer", SEED * 1_000_000)
    torch.manual_seed(SEED)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    vae, unet, text_encoder = make_vae().to(device), make_unet().to(device), make_text_encoder(tokenizer).to(device)
    for name, part in (("vae", vae), ("unet", unet), ("text encoder", text_encoder)):
        logger.info("%s: %d parameters", name, count_parameters(part))
    compiling = None
    if device.type == "cuda":
        warm_up = ("-m", "demo_model.training.warm_up_compiler", folder / "tokenizer", str(recipe.batch))
        compiling = subprocess.Popen([sys.executable, *warm_up], stderr=subprocess.DEVNULL)
    renderer = Renderer(device)
    first = _joined(pool.chunks(SQUARE, VAE_CHUNKS))
    train_vae(vae, renderer, first, batch=recipe.vae_batch, steps=recipe.vae_steps, seconds=recipe.vae_seconds)
    logger.info("autoencoder after %.0f s", time.monotonic() - started)
    factor = vae.config.scaling_factor
    pools = []
    for width, height in scenes:
        chunks = pool.chunks((width, height))
        table = _joined(chunks)
        values = torch.cat(list(encode_all(vae, renderer, table, width=width, height=height))) * factor
        tokens = torch.cat([chunk.tokens for chunk in chunks]).to(device)
        if (width, height) == SQUARE:
            captions = Captions(tokens, {name: column.to(device) for name, column in table.items()})
            train_text_encoder(text_encoder, captions, seconds=recipe.text_seconds)
        pools.append(Latents(values, tokens, table["boxes"].to(device)))
    pool.close()
    if compiling is not None:
        compiling.wait()
    logger.info("latents of %d scenes after %.0f s", sum(len(p.values) for p in pools), time.monotonic() - started)
    empty = tokenize(tokenizer, [""])[0].to(device)
    left = max(1.0, recipe.seconds - (time.monotonic() - started))
    train_diffusion(
        unet,
        text_encoder,
        pools,
        empty,
        batch=recipe.batch,
        steps=recipe.steps,
        seconds=left,
        keep=partial(_keep, folder, vae, started),
        keep_seconds=recipe.keep_seconds,
    )
    logger.info("done after %.0f s", time.monotonic() - started)


def _keep(folder: Path, vae: Any, started: float, unet: Any, text_encoder: Any) -> None:
    export(folder, vae=vae, unet=unet, text_encoder=text_encoder)
    logger.info("model written after %.0f s", time.monotonic() - started)


def _joined(chunks: list[Chunk]) -> Columns:
    return {name: torch.cat([chunk.table[name] for chunk in chunks]) for name in chunks[0].table}


if __name__ == "__main__":
    with ends_in_a_sentence():
        logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
        parser = argparse.ArgumentParser(description="Train the model in the box.")
        parser.add_argument("folder", type=Path, help="the folder to write the model to")
        for setting in fields(Recipe):
            kind = float if "seconds" in setting.name else int
            parser.add_argument(f"--{setting.name.replace('_', '-')}", type=kind, default=setting.default)
        arguments = vars(parser.parse_args())
        train(arguments.pop("folder"), Recipe(**arguments))
