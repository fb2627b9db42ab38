from __future__ import annotations

from typing import Any

import pytest
import torch

from demo_model.training.architecture import (
    LATENT_CHANNELS,
    NATIVE_SIZE,
    VAE_FACTOR,
    load_tokenizer,
    make_text_encoder,
    make_unet,
)
from demo_model.training.tokenizer import write_tokenizer
from demo_model.training.train_diffusion import Latents, things_seen, train_diffusion
from demo_model.world.render import MOST_BOXES

Parts = tuple[Any, Any, torch.Tensor]


def table(*things: tuple[float, float, float, float]) -> torch.Tensor:
    """The renderer's boxes of one scene whose things have these centres, widths and heights."""
    boxes = torch.zeros(1, MOST_BOXES, 6)
    boxes[..., 0] = -1
    for slot, box in enumerate(things):
        boxes[0, slot, :5] = torch.tensor([0, *box])
    return boxes


def test_a_thing_is_seen_in_every_place_of_the_latents_that_it_touches() -> None:
    seen = things_seen(table((16, 8, 8, 4)), 4, 8)[0, 0]
    # From 12 to 20 across and from 6 to 10 down, at four pixels a place: places 3 and 4, and places 1 and 2.
    assert seen.nonzero().tolist() == [[1, 3], [1, 4], [2, 3], [2, 4]]


def test_nothing_is_seen_in_a_scene_without_things_and_all_things_in_one_with_two() -> None:
    assert things_seen(table(), 4, 4).sum() == 0
    assert things_seen(table((2, 2, 2, 2), (14, 14, 2, 2)), 4, 4)[0, 0].nonzero().tolist() == [[0, 0], [3, 3]]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """UNet, text encoder and the empty caption's tokens."""
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    tokenizer = load_tokenizer(folder)
    torch.manual_seed(0)
    empty = torch.tensor(tokenizer([""], padding="max_length", max_length=77).input_ids[0])
    return make_unet(), make_text_encoder(tokenizer), empty


def train(parts: Parts, kept: list[tuple[Any, Any]], *, latents: float, steps: int) -> None:
    """Trains on four scenes of which every latent is `latents`; each pair of averages that is kept goes into `kept`."""
    unet, text_encoder, empty = parts
    edge = NATIVE_SIZE // VAE_FACTOR // 2
    values = torch.full((4, LATENT_CHANNELS, edge, edge), latents).half()
    scenes = Latents(values, empty.to(torch.int16).expand(4, 1, -1), table().expand(4, -1, -1))
    train_diffusion(
        unet,
        text_encoder,
        [scenes],
        empty,
        batch=2,
        steps=steps,
        seconds=1e9,
        keep=lambda *averages: kept.append(averages),
        keep_seconds=1e9,
    )


def test_two_steps_change_both_parts_and_keep_their_average(parts: Parts) -> None:
    unet, text_encoder, _ = parts
    before = [next(part.parameters()).clone() for part in (unet, text_encoder)]
    kept: list[tuple[Any, Any]] = []
    train(parts, kept, latents=1.0, steps=2)
    assert len(kept) == 1
    for first, part, average in zip(before, (unet, text_encoder), kept[0], strict=True):
        now, mean = next(part.parameters()), next(average.parameters())
        assert not torch.equal(now, first)
        assert not torch.equal(mean, first)
        assert not torch.equal(mean, now)


def test_a_loss_that_is_no_number_stops_the_training(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo_model.training.train_diffusion.LOG_EVERY", 1)
    kept: list[tuple[Any, Any]] = []
    with pytest.raises(FloatingPointError, match="no number any more, before step 1"):
        train(parts, kept, latents=float("nan"), steps=3)
    assert not kept
