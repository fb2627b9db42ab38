from __future__ import annotations

from random import Random

import pytest
import torch

from demo_model.world.arrangements import box
from demo_model.world.colours import COLOUR_INDEX, COLOURS
from demo_model.world.labels import OWN_COLOUR, UNSAID, label
from demo_model.world.render import Renderer, tabulate
from demo_model.world.scene import Backdrop, Scene, Subject, draw_scene
from demo_model.world.things import INDEX


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer("cpu")


def one_heart(colour: int | None, backdrop: int) -> Scene:
    thing = INDEX["heart"]
    boxes = (box(thing, 80, x=64, bottom=104),)
    return Scene(128, 128, (Subject(thing, colour),), None, Backdrop(backdrop, 0, 0, False, False), boxes, (colour,))


def test_the_same_seed_draws_the_same(renderer: Renderer) -> None:
    scenes = [draw_scene(Random(seed)) for seed in range(6)]
    assert torch.equal(renderer.draw(tabulate(scenes, 7)), renderer.draw(tabulate(scenes, 7)))


@pytest.mark.parametrize("size", [(128, 128), (160, 128), (128, 160)])
def test_pictures_have_the_size_and_range_of_their_scene(renderer: Renderer, size: tuple[int, int]) -> None:
    random = Random(8)
    pictures = renderer.draw(tabulate([draw_scene(random, *size) for _ in range(12)], 0), *size)
    assert pictures.shape == (12, 3, size[1], size[0])
    assert pictures.min() >= -1 and pictures.max() <= 1


@pytest.mark.parametrize("name", ["red", "green", "blue"])
def test_things_and_backgrounds_have_the_colour_that_was_asked_for(renderer: Renderer, name: str) -> None:
    colour, white = COLOUR_INDEX[name], COLOUR_INDEX["white"]
    channel = ("red", "green", "blue").index(name)
    painted, behind = renderer.draw(tabulate([one_heart(colour, white), one_heart(white, colour)], 0))
    assert painted[:, 64, 64].argmax() == channel
    expected = torch.tensor(COLOURS[colour].body) / 127.5 - 1
    assert (behind[:, 2, 2] - expected).abs().max() < 0.1


def test_labels_say_what_is_in_the_scene() -> None:
    pink, blue = COLOUR_INDEX["pink"], COLOUR_INDEX["blue"]
    rows = label([one_heart(pink, blue), one_heart(None, blue)])
    assert rows["things"].tolist() == [[INDEX["heart"], UNSAID]] * 2
    assert rows["colours"].tolist() == [[pink, UNSAID], [OWN_COLOUR, UNSAID]]
    assert rows["relation"].tolist() == [UNSAID] * 2
    assert rows["backdrop"].tolist() == [blue] * 2
