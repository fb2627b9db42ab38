"""The second pass at twice the size, with the model `tiny`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from userdata.job.image_request import ImageRequest, image_requests
from userdata.job.job import Job
from userdata.worker.drawing.drawing import Drawing
from userdata.worker.drawing.drawing_hooks import DrawingHooks
from userdata.worker.drawing.generate import draw_batch, prepare_sampler
from userdata.worker.model.pipeline import load_pipeline

SMALL: dict[str, Any] = {"H": 64, "W": 72, "ddim_steps": 6, "model": "tiny", "upscale": 2, "strength": 0.5}
# As in test_generate: a batch may sum in another order.
BATCHING_TOLERANCE = 2


@pytest.fixture(scope="module")
def pipeline(tiny_model: Path) -> Any:
    return load_pipeline(tiny_model, layout=None, device=torch.device("cpu"), from_image=False)


def draw(pipeline: Any, job: Job, requests: list[ImageRequest], shares: list[float] | None = None) -> list[Image.Image]:
    own = pipeline.scheduler
    prepare_sampler(pipeline, requests[0], own.config)
    hear = (shares if shares is not None else []).append
    drawn = draw_batch(pipeline, job, requests, initial_image=None, on_step=hear)
    pipeline.scheduler = own
    assert all(one.drawn_with.tiled for one in drawn)
    pipeline.vae.disable_tiling()
    return [one.image for one in drawn]


def difference(one: Image.Image, other: Image.Image) -> int:
    return int(abs(numpy.asarray(one).astype(int) - numpy.asarray(other).astype(int)).max())


@pytest.mark.parametrize("sampler", ["ddim", "plms", "dpm_solver", "euler_a"])
def test_an_image_is_twice_as_large_and_the_same_alone_and_in_company(pipeline: Any, sampler: str) -> None:
    job = Job(**SMALL, sampler=sampler)
    requests = image_requests(job)
    shares: list[float] = []
    company = draw(pipeline, job, requests[:2], shares)
    assert company[1].size == requests[1].size == (144, 128)
    assert difference(company[1], draw(pipeline, job, requests[1:2])[0]) <= BATCHING_TOLERANCE
    assert difference(*company) > 20
    assert shares == sorted(shares)
    assert shares[-1] == 1
    if sampler == "ddim":  # six of the original's steps are seven, and image to image does half of six
        assert len(shares) == 7 + 3


def test_little_strength_keeps_the_first_pass_and_much_replaces_it(pipeline: Any) -> None:
    first = Job(**{**SMALL, "upscale": 1})
    own = pipeline.scheduler
    prepare_sampler(pipeline, image_requests(first)[0], own.config)
    (drawn,) = draw_batch(pipeline, first, image_requests(first)[:1], initial_image=None, on_step=lambda _: None)
    pipeline.scheduler = own
    enlarged = numpy.asarray(drawn.image.resize((144, 128), Image.Resampling.BICUBIC)).astype(int)

    def far(strength: float) -> float:
        job = Job(**{**SMALL, "ddim_steps": 10, "strength": strength})
        (image,) = draw(pipeline, job, image_requests(job)[:1])
        return float(abs(numpy.asarray(image) - enlarged).mean())

    assert far(0.1) < far(0.9)


def test_in_a_run_of_both_kinds_each_image_is_as_if_alone_and_the_texts_are_encoded_once(pipeline: Any) -> None:
    encode, encoded = pipeline.text_encoder.forward, []

    def count(*args: Any, **options: Any) -> Any:
        encoded.append(1)
        return encode(*args, **options)

    job = Job(**SMALL, prompt="a (horse:1.4)", n_iter=1, n_samples=2)
    larger, usual = image_requests(job)[0], image_requests(Job(**{**job.model_dump(), "upscale": 1}))[1]
    drawn: list[Any] = []
    pipeline.text_encoder.forward = count
    hooks = DrawingHooks(drawn.append)
    Drawing(pipeline, job, [larger, usual], total=2, initial_image=None, hooks=hooks).do()
    pipeline.text_encoder.forward = encode
    assert len(encoded) == 4, "prompt and negative prompt of each kind, not of each pass"
    assert [one.image.size for one in drawn] == [(144, 128), (72, 64)]
    assert [one.drawn_with.tiled for one in drawn] == [True, False]
    assert difference(drawn[0].image, draw(pipeline, job, [larger])[0]) == 0
