"""The model in the box itself: whole, small, and drawn with by the code that draws with the large ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from demo_model.publishing.publish import BOX, FILES, MOST_BYTES, WEIGHTS
from demo_model.world.colours import COLOURS
from userdata.boot.steps.bundled_model import check_bundled_model
from userdata.contract.catalogue import find_model
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.worker.by_hand.local_model import find_local_model
from userdata.worker.drawing.generate import draw_batch, prepare_sampler
from userdata.worker.model.memory_need import memory_need_gib

STEPS = 6


@pytest.fixture(scope="module")
def from_text() -> Any:
    return find_local_model("demo").load(from_image=False, precision="autocast")


@pytest.fixture(scope="module")
def from_image() -> Any:
    return find_local_model("demo").load(from_image=True, precision="autocast")


def draw(pipeline: Any, prompts: Sequence[str], initial_image: Image.Image | None = None, **options: Any) -> Any:
    """The pictures as numbers from 0 to 255: prompts × height × width × 3. All are drawn in one batch."""
    given = {"model": "demo", "n_iter": 1, "n_samples": 1, "ddim_steps": STEPS, **options}
    jobs = [Job(prompt=prompt, **given) for prompt in prompts]
    requests = [request for job in jobs for request in image_requests(job)]
    of_image = initial_image is not None
    prepare_sampler(pipeline, requests[0], dict(pipeline.scheduler.config), from_image=of_image)
    drawn = draw_batch(pipeline, jobs[0], requests, initial_image=initial_image, on_step=lambda _share: None)
    return numpy.stack([numpy.asarray(one.image) for one in drawn]).astype(float)


def test_it_is_the_one_that_the_catalogue_names() -> None:
    model = find_model("demo")
    assert model.bundled_sha256
    check_bundled_model(BOX, model.bundled_sha256)
    assert not model.is_noise
    assert not model.files


def test_it_is_small_and_in_half_precision() -> None:
    files = [path for path in BOX.rglob("*") if path.is_file()]
    assert {path.relative_to(BOX).as_posix() for path in files} == {*FILES, "LICENSE"}
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    for file in WEIGHTS:
        assert {tensor.dtype for tensor in load_file(BOX / file).values()} == {torch.float16}


@pytest.mark.parametrize(("precision", "number_bytes"), [("autocast", 2), ("full", 4)])
def test_the_catalogues_memory_is_what_its_weights_make_of_it(precision: str, number_bytes: int) -> None:
    model = find_model("demo")
    stated = model.memory_need(precision)
    assert stated
    numbers = sum(tensor.numel() for file in WEIGHTS for tensor in load_file(BOX / file).values())
    weights = number_bytes * numbers
    exact = memory_need_gib(weights_bytes=weights, native_size=model.native_size, decoder_bytes=number_bytes)
    assert exact <= stated < exact + 0.1


def test_it_has_the_parts_of_stable_diffusion_and_no_safety_checker(from_text: Any) -> None:
    index = json.loads((BOX / "model_index.json").read_text())
    assert index["_class_name"] == find_model("demo").pipeline == type(from_text).__name__
    assert from_text.safety_checker is None
    assert not Job(model="demo").checked_for_safety


def test_a_picture_has_the_background_that_its_prompt_asks_for(from_text: Any) -> None:
    asked = ("red", "blue", "green", "yellow")
    pictures = draw(from_text, [f"a dog on a {colour} background" for colour in asked])
    corners = [
        pictures[:, rows, columns] for rows in (slice(6), slice(-6, None)) for columns in (slice(6), slice(-6, None))
    ]
    for number, colour in enumerate(asked):
        seen = numpy.mean([corner[number].mean(axis=(0, 1)) for corner in corners], axis=0)
        nearest = min(COLOURS, key=lambda one: float(numpy.abs(seen - one.body).sum()))
        assert nearest.name == colour, seen


@pytest.mark.parametrize(("width", "height"), [(96, 96), (160, 128), (128, 160), (136, 104)])
def test_sizes_near_its_own_are_drawn(from_text: Any, width: int, height: int) -> None:
    (picture,) = draw(from_text, ["a horse under a tree"], W=width, H=height, ddim_steps=1)
    assert picture.shape == (height, width, 3)


def test_from_an_image_little_strength_keeps_it_and_much_replaces_it(from_image: Any) -> None:
    initial = Image.new("RGB", (128, 128), COLOURS[0].body)
    kept, replaced = (
        draw(from_image, ["a dog on a blue background"], initial, init_img="inputs/a.png", strength=strength)[0]
        for strength in (0.2, 1.0)
    )
    far = [numpy.abs(picture - COLOURS[0].body).mean() for picture in (kept, replaced)]
    assert far[0] < 30
    assert far[1] > 60


def test_decoding_in_tiles_leaves_no_seams(from_text: Any) -> None:
    """What tiles change is spread over their overlaps. Without any, pixels at a seam would differ by 9 levels."""
    vae = from_text.vae
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(3))
    picture = torch.nn.functional.interpolate(coarse, size=(256, 256), mode="bicubic").clamp(0, 1)
    with torch.no_grad():
        latents = vae.encode(picture * 2 - 1).latent_dist.mode()
        whole = vae.decode(latents).sample
        vae.enable_tiling()
        tiled = vae.decode(latents).sample
        vae.disable_tiling()
    change = (tiled - whole)[0].mean(0) * 127.5
    assert 0 < change.abs().mean() < 3
    assert change.abs().max() < 25
    between_columns = change.diff(dim=1).abs().mean(0)
    seams = [95, 191]  # tiles of 128 pixels overlap by 32
    assert between_columns[seams].max() < 2 * between_columns.mean() + 0.2
