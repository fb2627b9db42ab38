from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy
from PIL import Image

from demo_model.publishing.draw_contact_sheet import (
    LINE_HEIGHT,
    LINES,
    MARGIN,
    PROMPTS,
    draw,
    read_prompts,
    requests_for,
    sheet,
)
from userdata.job.image_request import ImageRequest
from userdata.job.job import Job


def test_there_are_64_prompts_the_article_s_among_them() -> None:
    prompts = read_prompts(PROMPTS)
    assert len(prompts) == len(set(prompts)) == 64
    assert {"a horse standing under a tree", "a tree in forest"} <= {prompt.lower() for prompt in prompts}


def test_pictures_of_one_prompt_are_those_of_a_run_of_it() -> None:
    drawn = requests_for(["a dog", "a cat"], each=3)
    assert [(one.prompt, one.seed) for one in drawn] == [
        ("a dog", 42), ("a dog", 43), ("a dog", 44), ("a cat", 42), ("a cat", 43), ("a cat", 44),
    ]  # fmt: skip
    of_a_job = Job(model="demo")
    assert {(one.H, one.W, one.ddim_steps, one.scale) for one in drawn} == {
        (of_a_job.H, of_a_job.W, of_a_job.ddim_steps, of_a_job.scale)
    }


def test_a_sheet_of_single_pictures_has_a_seed_for_each() -> None:
    assert [one.seed for one in requests_for(["a dog", "a cat", "a pig"], each=1)] == [42, 43, 44]


def test_each_picture_is_above_its_label() -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    pictures = [Image.new("RGB", (128, 128), colour) for colour in colours]
    made = sheet(pictures, ["first", "second", "a prompt that is far too long for one line of it"], columns=2)
    high = 128 + LINES * LINE_HEIGHT + MARGIN
    assert made.size == (2 * (128 + MARGIN) + MARGIN, 2 * high + MARGIN)
    assert made.getpixel((MARGIN, MARGIN)) == colours[0]
    assert made.getpixel((2 * MARGIN + 128, MARGIN)) == colours[1]
    assert made.getpixel((MARGIN, MARGIN + high)) == colours[2]
    pixels = numpy.asarray(made.convert("L"))
    below = MARGIN + 128
    assert pixels[below : below + LINE_HEIGHT].min() < 100
    assert pixels[below + LINE_HEIGHT : high].min() == 255
    second_line = slice(high + below + LINE_HEIGHT + 2, high + below + 2 * LINE_HEIGHT)
    assert pixels[second_line].min() < 100


def test_all_are_drawn_in_their_order(untrained: Path) -> None:
    requests = requests_for(["a dog"] * 9, each=1)
    pictures = [numpy.asarray(one) for one in draw([_quick(one) for one in requests], untrained)]
    assert len(pictures) == 9
    again = draw([_quick(requests[8])], untrained)
    assert numpy.abs(pictures[8].astype(int) - numpy.asarray(again[0])).max() <= 1


def _quick(request: ImageRequest) -> ImageRequest:
    return replace(request, ddim_steps=1, H=64, W=64)
