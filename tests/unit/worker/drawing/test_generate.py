from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from userdata.job.image_request import ImageRequest, image_requests
from userdata.job.job import Job
from userdata.job.run_error import RunError
from userdata.worker.drawing.generate import draw_batch, prepare_sampler
from userdata.worker.drawing.samplers import SAMPLERS
from userdata.worker.model.pipeline import load_pipeline

SMALL: dict[str, Any] = {"H": 64, "W": 72, "ddim_steps": 5, "model": "tiny"}
# A convolution over a batch may sum in another order than over one image: a rounding error in single precision, which
# a few steps amplify to a level or two out of 255.
BATCHING_TOLERANCE = 2


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_image_is_the_same_alone_and_in_any_company(tiny_model: Path, sampler: str) -> None:
    job = Job(**SMALL, sampler=sampler)
    alone = _draw(tiny_model, job, [2])
    in_company = _draw(tiny_model, job, [0, 1, 2])
    assert _difference(alone[2], in_company[2]) <= BATCHING_TOLERANCE
    assert _difference(in_company[0], in_company[2]) > 50


def test_seed_of_image_k_is_the_first_seed_plus_k(tiny_model: Path) -> None:
    one = _draw(tiny_model, Job(**SMALL, seed=10), [5])[5]
    assert _difference(one, _draw(tiny_model, Job(**SMALL, seed=15), [0])[0]) <= BATCHING_TOLERANCE


def test_largest_seed_works(tiny_model: Path) -> None:
    assert _draw(tiny_model, Job(**SMALL, seed=2**63 - 1), [0, 1])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_image_to_image_keeps_size_and_depends_on_its_start_and_strength(tiny_model: Path, sampler: str) -> None:
    start = Image.effect_noise((72, 64), 90).convert("RGB")

    def draw(strength: float, initial_image: Image.Image) -> Image.Image:
        job = Job(**SMALL, init_img="inputs/x.png", strength=strength, sampler=sampler)
        return _draw(tiny_model, job, [0], initial_image)[0]

    half = draw(0.5, start)
    assert half.size == (72, 64)
    assert _difference(half, draw(0.5, start)) == 0
    assert _difference(half, draw(0.5, Image.new("RGB", (72, 64), (200, 30, 30)))) > 20
    assert _difference(half, draw(1.0, start)) > 20


def test_image_to_image_is_the_same_alone_and_in_company(tiny_model: Path) -> None:
    job = Job(**SMALL, init_img="inputs/x.png", strength=0.6)
    start = Image.effect_noise((72, 64), 90).convert("RGB")
    alone, company = _draw(tiny_model, job, [1], start), _draw(tiny_model, job, [0, 1], start)
    assert _difference(alone[1], company[1]) <= BATCHING_TOLERANCE


@pytest.mark.parametrize("sampler", ["ddim", "plms", "dpm_solver", "euler_a"])
def test_with_a_mask_what_is_black_stays_to_the_bit_and_what_is_white_is_drawn(tiny_model: Path, sampler: str) -> None:
    start, mask = Image.effect_noise((72, 64), 90).convert("RGB"), Image.new("L", (72, 64))
    mask.paste(255, (20, 20, 50, 50))
    mask.paste(100, (0, 0, 10, 10))
    start.putalpha(mask)
    job = Job(**SMALL, init_img="inputs/x.png", init_mask="inputs/m.png", strength=1.0, sampler=sampler)
    alone, company = _draw(tiny_model, job, [1], start)[1], _draw(tiny_model, job, [0, 1], start)
    assert _difference(alone, company[1]) <= BATCHING_TOLERANCE
    before, after, shades = (numpy.asarray(one).astype(int) for one in (start.convert("RGB"), alone, mask))
    change = abs(after - before).max(axis=2)
    assert change[shades == 0].max() == 0
    assert change[shades == 255].mean() > 20
    assert 0 < change[shades == 100].mean() < change[shades == 255].mean()
    assert _difference(company[0], company[1]) > 20


def test_guidance_of_zero_and_one_is_none(tiny_model: Path) -> None:
    zero, one, usual = (_draw(tiny_model, Job(**SMALL, scale=scale), [0])[0] for scale in (0, 1, 7.5))
    assert _difference(zero, one) == 0
    assert _difference(zero, usual) > 5


def test_negative_prompt_has_a_say(tiny_model: Path) -> None:
    plain, negative = (_draw(tiny_model, Job(**SMALL, negative_prompt=text), [0])[0] for text in ("", "blurry trees"))
    assert _difference(plain, negative) > 5


@pytest.mark.parametrize("steps", [1, 3, 37])
def test_steps_that_crashed_the_original(tiny_model: Path, steps: int) -> None:
    shares: list[float] = []
    job = Job(**{**SMALL, "ddim_steps": steps, "sampler": "plms"})
    draw_batch(_pipeline(tiny_model, job), job, _requests(job, [0]), initial_image=None, on_step=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_what_is_not_a_number_is_no_image(tiny_model: Path) -> None:
    job = Job(**SMALL)
    pipeline = _pipeline(tiny_model, job)
    with torch.no_grad():
        pipeline.vae.decoder.conv_out.bias.fill_(float("nan"))
    with pytest.raises(RunError, match="not a number"):
        draw_batch(pipeline, job, _requests(job, [0]), initial_image=None, on_step=lambda _: None)


def test_full_memory_of_the_gpu_is_told_with_the_way_out(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(**SMALL)
    pipeline = _pipeline(tiny_model, job)

    def refuse(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(pipeline.unet, "forward", refuse)
    with pytest.raises(RunError, match=r"memory does not suffice for 2 images of 72 × 64 .* smaller Height"):
        draw_batch(pipeline, job, _requests(job, [0, 1]), initial_image=None, on_step=lambda _: None)


def test_an_earlier_versions_image_is_drawn_with_brackets_as_text_and_its_prompt_cut(tiny_model: Path) -> None:
    pipeline = _pipeline(tiny_model, Job(**SMALL))

    def draw(prompt: str, *, emphasis: bool) -> Image.Image:
        job = Job(**{**SMALL, "ddim_steps": 2}, prompt=prompt)
        prepare_sampler(pipeline, _requests(job, [0])[0], pipeline.scheduler.config)
        (drawn,) = draw_batch(
            pipeline, job, _requests(job, [0]), initial_image=None, on_step=lambda _: None, emphasis=emphasis
        )
        assert drawn.drawn_with.emphasis == emphasis
        return drawn.image

    plain, weighed = draw("a horse", emphasis=False), draw("a (horse:1.9)", emphasis=True)
    assert _difference(plain, draw("a horse", emphasis=True)) == 0
    assert _difference(weighed, draw("a (horse:1.9)", emphasis=False)) > 5
    long = "a horse " * 37 + "a "
    assert _difference(draw(long, emphasis=False), draw(long + "tree", emphasis=False)) == 0
    assert _difference(draw(long, emphasis=True), draw(long + "tree", emphasis=True)) > 5


def _pipeline(model: Path, job: Job) -> Any:
    pipeline = load_pipeline(model, layout="stable-diffusion-v1", device=torch.device("cpu"), from_image=job.from_image)
    prepare_sampler(pipeline, image_requests(job)[0], pipeline.scheduler.config, from_image=job.from_image)
    return pipeline


def _requests(job: Job, indices: list[int]) -> list[ImageRequest]:
    return [image_requests(job)[index] for index in indices]


def _draw(
    model: Path, job: Job, indices: list[int], initial_image: Image.Image | None = None
) -> dict[int, Image.Image]:
    pipeline = _pipeline(model, job)
    drawn = draw_batch(pipeline, job, _requests(job, indices), initial_image=initial_image, on_step=lambda _: None)
    return {one.index: one.image for one in drawn}


def _difference(one: Image.Image, other: Image.Image) -> int:
    return int(abs(numpy.asarray(one).astype(int) - numpy.asarray(other).astype(int)).max())
