from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from userdata.worker.drawn_with import DrawnWith
from userdata.worker.image_metadata import ImageRecord, describe_image, parameters_text, png_with_parameters
from userdata.worker.job import Job

VERSIONS = {"diffusers": "0.42.1"}
DRAWN_WITH = DrawnWith(indices=[2, 3], execution="eager", precision="float32", device="cpu")
PROMPTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=1000).filter(lambda text: text.strip())


def test_text_is_what_the_communitys_tools_read() -> None:
    job = Job(prompt="A horse, under a tree", negative_prompt="blurry", seed=42, ddim_steps=75, H=512, W=640)
    assert parameters_text(job, 2, versions=VERSIONS) == (
        "A horse, under a tree\n"
        "Negative prompt: blurry\n"
        "Steps: 75, Sampler: DDIM, CFG scale: 7.5, Seed: 44, Size: 640x512, Model: stable-diffusion-v1-5, "
        "Version: diffusers 0.42.1"
    )


def test_image_to_image_tells_its_strength_and_text_to_image_has_none() -> None:
    assert "Denoising strength: 0.4," in parameters_text(
        Job(init_img="inputs/horse.png", strength=0.4), 0, versions=VERSIONS
    )
    assert "Denoising strength" not in parameters_text(Job(strength=0.4), 0, versions=VERSIONS)


def test_no_line_for_an_empty_negative_prompt() -> None:
    assert "Negative prompt" not in parameters_text(Job(), 0, versions=VERSIONS)


@pytest.mark.parametrize("prompt", ["a 'b' \"c\" $(id) `id`", "zwei\nZeilen, ein Baum: 🌳", "é à ñ", "\t x\r\n"])
@pytest.mark.parametrize("negative", ["", "blurry, 水印\nugly"])
def test_hostile_prompts_survive_in_the_png(prompt: str, negative: str) -> None:
    _survives(prompt, negative)


@given(prompt=PROMPTS, negative=PROMPTS)
def test_any_prompt_survives_in_the_png(prompt: str, negative: str) -> None:
    _survives(prompt, negative)


@given(prompt=PROMPTS)
def test_any_prompt_survives_in_the_json(prompt: str) -> None:
    job = Job(prompt=prompt, seed=2**32 - 1)
    record = describe_image(job, 3, seconds=1.23456, drawn_with=DRAWN_WITH, versions=VERSIONS)
    read = ImageRecord.from_json(record.to_json())
    assert Job.model_validate(read.job) == job
    assert (read.index, read.seed, read.file, read.seconds) == (3, 2**32 + 2, "00003.png", 1.235)
    assert read.drawn_with == DRAWN_WITH
    assert json.loads(record.to_json())["schema"] == 1


def _survives(prompt: str, negative: str) -> None:
    """Reads the PNG back as the community's tools do: the last line holds the settings."""
    job = Job(prompt=prompt, negative_prompt=negative)
    text = parameters_text(job, 0, versions=VERSIONS)
    picture = Image.open(io.BytesIO(png_with_parameters(Image.new("RGB", (8, 8)), text)))
    picture.load()
    assert picture.text["parameters"] == text  # type: ignore[attr-defined]
    prompts, _, settings = text.rpartition("\n")
    assert prompts == (f"{prompt}\nNegative prompt: {negative}" if negative else prompt)
    assert dict(re.findall(r"(\w[\w ]*): ([^,]+)(?:, |$)", settings))["Seed"] == "42"
