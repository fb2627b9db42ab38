"""The scenes of a training run and their captions, made by many processes while the GPU already works."""

from __future__ import annotations

import os
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import CLIPTokenizer

from demo_model.world.caption import describe
from demo_model.world.labels import label
from demo_model.world.render import Columns, tabulate
from demo_model.world.scene import draw_scene

CHUNK = 10_000
CAPTIONS_PER_SCENE = 2


@dataclass(frozen=True)
class Chunk:
    """Scenes of one size: `Renderer.draw`'s table with their labels, and tokens as int16, scenes × captions × 77."""

    table: Columns
    tokens: torch.Tensor


@cache
def _tokenizer(folder: Path) -> Any:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return CLIPTokenizer.from_pretrained(folder)


def make_chunk(seed: int, width: int, height: int, tokenizer_folder: Path, size: int) -> Chunk:
    """`size` scenes of `width` × `height` pixels; the same for the same seed."""
    torch.set_num_threads(1)
    random = Random(seed)  # noqa: S311
    scenes = [draw_scene(random, width, height) for _ in range(size)]
    captions = [describe(scene, random) for scene in scenes for _ in range(CAPTIONS_PER_SCENE)]
    tokens = tokenize(_tokenizer(tokenizer_folder), captions)
    return Chunk({**tabulate(scenes, seed), **label(scenes)}, tokens.to(torch.int16).view(size, CAPTIONS_PER_SCENE, -1))


def tokenize(tokenizer: Any, captions: list[str]) -> torch.Tensor:
    """Token ids as the pipeline makes them: captions × 77."""
    ids: torch.Tensor = tokenizer(
        captions,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    return ids


class ScenePool:
    """Starts making all chunks at once, with seeds `seed`, `seed + 1` and so on.

    Forks, so it has to be made before the GPU is used. Importing everything anew in each process took longer than its
    work.
    """

    def __init__(self, sizes: dict[tuple[int, int], int], tokenizer_folder: Path, seed: int) -> None:
        """`sizes` says how many scenes of which width and height there shall be."""
        workers = max(1, (os.cpu_count() or 2) - 2)
        self._executor = ProcessPoolExecutor(workers, mp_context=get_context("fork"))
        self._chunks: dict[tuple[int, int], list[Future[Chunk]]] = {}
        for size, count in sizes.items():
            self._chunks[size] = [
                self._executor.submit(make_chunk, seed + number, *size, tokenizer_folder, CHUNK)
                for number in range(-(-count // CHUNK))
            ]
            seed += len(self._chunks[size])

    def chunks(self, size: tuple[int, int], most: int | None = None) -> list[Chunk]:
        """The first `most` chunks of one size, or all; waits for them."""
        return [future.result() for future in self._chunks[size][:most]]

    def close(self) -> None:
        """Ends the processes."""
        self._executor.shutdown(cancel_futures=True)
