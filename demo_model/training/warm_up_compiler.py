"""Compiles the UNet's training step on stand-in data: `python -m demo_model.training.warm_up_compiler TOKENIZER BATCH`.

Runs beside the training of the autoencoder and leaves what it compiled in the compiler's cache on disk, where the real
training finds it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from demo_model.training.architecture import (
    LATENT_CHANNELS,
    NATIVE_SIZE,
    VAE_FACTOR,
    load_tokenizer,
    make_text_encoder,
    make_unet,
)
from demo_model.training.train_diffusion import Latents, train_diffusion
from demo_model.world.render import MOST_BOXES
from demo_model.world.scene_pool import tokenize
from scripts.interruption.signals import ends_in_a_sentence


def warm_up_compiler(tokenizer_folder: Path, batch: int) -> None:
    """The first steps of the training, with random latents."""
    tokenizer = load_tokenizer(tokenizer_folder)
    edge = NATIVE_SIZE // VAE_FACTOR
    empty = tokenize(tokenizer, [""])[0].cuda()
    values = torch.randn(batch, LATENT_CHANNELS, edge, edge, device="cuda", dtype=torch.float16)
    boxes = torch.zeros(batch, MOST_BOXES, 6, device="cuda")
    pool = Latents(values, empty.to(torch.int16).expand(batch, 1, -1), boxes)
    unet, text_encoder = make_unet().cuda(), make_text_encoder(tokenizer).cuda()
    train_diffusion(
        unet,
        text_encoder,
        [pool],
        empty,
        batch=batch,
        steps=1,
        seconds=600,
        keep=lambda _unet, _text_encoder: None,
        keep_seconds=600,
    )


if __name__ == "__main__":
    with ends_in_a_sentence():
        parser = argparse.ArgumentParser(description="Fill the compiler's cache.")
        parser.add_argument("tokenizer", type=Path, help="the folder of the tokenizer")
        parser.add_argument("batch", type=int, help="scenes in a batch")
        arguments = parser.parse_args()
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        warm_up_compiler(arguments.tokenizer, arguments.batch)
