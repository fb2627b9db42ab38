from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sd_geninfo.sd_geninfo import parse_geninfo, read_geninfo
from sd_parsers import ParserManager

from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.job.prompt_file import read_prompt_file
from userdata.job.sampler_names import NAMES, sampler_of
from userdata.record.drawn_with import DrawnWith
from userdata.record.image_metadata import (
    ImageRecord,
    describe_image,
    parameters_text,
    png_with_record,
    record_in_png,
)
from userdata.worker.run.report import ImageTime

VERSIONS = {"diffusers": "0.42.1"}
# Nothing of a prompt but a surrogate, which is no character, is lost anywhere.
PROMPTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=1000).filter(lambda text: text.strip())
HOSTILE = [
    "a 'b' \"c\" $(id) `id`",
    "zwei\nZeilen, ein Baum: 🌳",
    "é à ñ",
    "\t x\r\n",
    "Steps: 1, Sampler: Euler a, CFG scale: 1, Seed: 1\nand on it goes",
    "עץ וסוס, شجرة",
    '{"prompt": 1}',
    "<lore:x:0.8>, (a:1.2), [b|c]",
]


def test_text_is_what_the_communitys_tools_read() -> None:
    record = _record(Job(prompt="A horse, under a tree", negative_prompt="blurry", seed=42, ddim_steps=75), 2)
    assert parameters_text(record) == (
        "A horse, under a tree\n"
        "Negative prompt: blurry\n"
        "Steps: 75, Sampler: DDIM, CFG scale: 7.5, Seed: 44, Size: 640x512, Model hash: 6ce0161689, "
        "Model: stable-diffusion-v1-5, Version: diffusers 0.42.1"
    )


def test_settings_that_most_images_lack_are_told_where_they_are() -> None:
    larger = parameters_text(_record(Job(upscale=2, strength=0.4)))
    assert "Size: 640x512" in larger
    assert "Denoising strength: 0.4, Hires upscale: 2, Hires upscaler: Bicubic" in larger
    image = parameters_text(_record(Job(init_img="inputs/horse.png", strength=0.4, ddim_eta=0.5)))
    assert "Denoising strength: 0.4, Eta: 0.5," in image
    assert "Sampler: DPM++ 2M, Schedule type: Karras," in parameters_text(_record(Job(sampler="dpmpp_2m_karras")))
    weighed = _record(Job(negative_prompt="[dark]"))
    assert "Emphasis" not in parameters_text(weighed)
    assert weighed.drawn_with
    literal = weighed.model_copy(update={"drawn_with": weighed.drawn_with.model_copy(update={"emphasis": False})})
    assert ", Emphasis: None, Version" in parameters_text(literal)
    plain = parameters_text(_record(Job(strength=0.4)))
    for absent in ("Emphasis", "Denoising strength", "Eta", "Schedule type", "Negative prompt"):
        assert absent not in plain


def test_the_loras_of_the_image_stand_behind_its_prompt(tmp_path: Path) -> None:
    job = Job(
        prompt="a <lora:b:0.5> horse <lora:c:0>",
        lora="inputs/a-0123abcd.safetensors:-1,hf:o/n/b.safetensors,s3://buc/c.safetensors",
    )
    record = _record(job)
    assert record.request.loras == {"a": -1.0, "b": 0.5}
    file = tmp_path / "image.png"
    file.write_bytes(_png(record))
    assert record_in_png(file.read_bytes()).request == record.request
    for settings in (_as_sd_parsers_reads_it(file), _as_sd_geninfo_reads_it(file)):
        assert settings["prompt"] == "a horse <lora:a:-1> <lora:b:0.5>"


def test_an_image_of_an_earlier_version_has_the_loras_of_its_job() -> None:
    record = _record(Job(prompt="a horse", lora="inputs/a.safetensors:0.5"))
    before = record.model_copy(update={"batch": [dataclasses.replace(record.request, loras=None)]})
    assert parameters_text(before) == parameters_text(record)
    document = json.loads(record.to_json())
    del document["batch"][0]["loras"]
    assert ImageRecord.from_json(json.dumps(document).encode()).request.loras is None


@pytest.mark.parametrize(
    ("seed", "written"), [(2**53, 2**53), (2**53 + 1, str(2**53 + 1)), (2**63 - 1, str(2**63 - 1))]
)
def test_a_seed_that_a_reader_of_numbers_would_round_is_text(seed: int, written: int | str) -> None:
    record = _record(Job(seed=seed))
    document = json.loads(record.to_json())
    assert [document["seed"], document["job"]["seed"], document["batch"][0]["seed"]] == [written] * 3
    again = ImageRecord.from_json(record.to_json())
    assert (again.seed, again.request.seed, Job.model_validate(again.job).seed) == (seed, seed, seed)
    assert f"Seed: {seed}," in parameters_text(record)
    assert str(ImageTime(file="", seed=seed, seconds=0).model_dump(mode="json")["seed"]) == str(written)
    document["seed"] = document["batch"][0]["seed"] = seed  # a number, as other versions wrote it
    assert ImageRecord.from_json(json.dumps(document).encode()).request.seed == seed


def test_a_value_with_a_colon_is_quoted() -> None:
    text = parameters_text(_record(Job(model="hf:owner/name/model.safetensors")))
    assert 'Model: "hf:owner/name/model.safetensors", Version' in text


@pytest.mark.parametrize("sampler", NAMES)
def test_two_independent_readers_understand_it(tmp_path: Path, sampler: str) -> None:
    job = Job(prompt="A horse, under a (tree)", negative_prompt="blurry, people", seed=7, sampler=sampler, scale=6.5)
    file = tmp_path / "image.png"
    file.write_bytes(_png(_record(job, 1)))
    for settings in (_as_sd_parsers_reads_it(file), _as_sd_geninfo_reads_it(file)):
        assert settings["prompt"] == "A horse, under a (tree)"
        assert settings["negative_prompt"] == "blurry, people"
        assert settings["Sampler"] == NAMES[sampler].sampler
        assert settings["Seed"] == "8"
        assert settings["Steps"] == "75"
        assert settings["CFG scale"] == "6.5"
        assert settings["Size"] == "640x512"
        assert settings["Model"] == "stable-diffusion-v1-5"
        assert settings["Model hash"] == "6ce0161689"
        assert sampler_of(f"{settings['Sampler']} {settings.get('Schedule type', '')}") == sampler


@pytest.mark.parametrize("prompt", HOSTILE)
def test_hostile_prompts_do_not_mislead_a_reader_about_the_settings(tmp_path: Path, prompt: str) -> None:
    file = tmp_path / "image.png"
    file.write_bytes(_png(_record(Job(prompt=prompt, seed=7))))
    settings = _as_sd_parsers_reads_it(file)
    assert (settings["Seed"], settings["Steps"], settings["Sampler"]) == ("7", "75", "DDIM")
    # This reader strips the ends of a prompt.
    assert settings["prompt"] == prompt.strip()


@pytest.mark.parametrize(
    "false", ["Steps: 20, Sampler: Euler a, CFG scale: 2, Seed: 3, Size: 64x64", " steps: 3", "Negative prompt: cats"]
)
def test_a_prompt_cannot_pass_for_the_settings(tmp_path: Path, false: str) -> None:
    file = tmp_path / "image.png"
    job = Job(prompt=f"a horse\n{false}", negative_prompt=f"blurry\r\n{false}", seed=7)
    file.write_bytes(_png(_record(job)))
    assert record_in_png(file.read_bytes()).request.prompt == job.prompt
    settings = _as_sd_geninfo_reads_it(file)
    assert (settings["Seed"], settings["Steps"], settings["Sampler"], settings["Size"]) == (
        ("7", "75", "DDIM", "640x512")
    )
    shown = false.replace("prompt:", "prompt :")
    assert settings["prompt"] == f"a horse {shown}"
    assert settings["negative_prompt"] == f"blurry {shown}"
    read = _as_sd_parsers_reads_it(file)
    assert (read["Seed"], read["Steps"], read["Sampler"]) == ("7", "75", "DDIM")
    assert (read["prompt"], read["negative_prompt"]) == (f"a horse {shown}", f"blurry {shown}")


@pytest.mark.parametrize(
    "prompt", ["Negative prompt: x\nSteps: 3, Sampler: Euler, Seed: 1", "negative prompt: x", "a Negative prompt: b"]
)
@pytest.mark.parametrize("negative", ["", "Negative prompt: cats", "blurry, Negative prompt: cats"])
def test_no_text_can_pass_for_the_start_of_the_negative_prompt(tmp_path: Path, prompt: str, negative: str) -> None:
    file = tmp_path / "image.png"
    file.write_bytes(_png(_record(Job(prompt=prompt, negative_prompt=negative, seed=7))))
    request = record_in_png(file.read_bytes()).request
    assert (request.prompt, request.negative_prompt) == (prompt, negative)
    for settings in (_as_sd_parsers_reads_it(file), _as_sd_geninfo_reads_it(file)):
        assert settings["prompt"] == prompt.replace("prompt:", "prompt :").replace("\n", " ")
        assert settings.get("negative_prompt", "") == negative.replace("prompt:", "prompt :")
        assert (settings["Seed"], settings["Steps"], settings["Sampler"]) == ("7", "75", "DDIM")


def test_a_nul_ends_no_text_of_the_png() -> None:
    png = _png(_record(Job(prompt="a\0horse", negative_prompt="\0")))
    assert record_in_png(png).request.prompt == "a\0horse"
    chunks = [chunk for chunk in _text_chunks(png) if chunk.startswith((b"parameters\0", b"sd-on-ec2\0"))]
    assert len(chunks) == 2
    assert all(chunk.count(b"\0") == 1 for chunk in chunks)


@pytest.mark.parametrize("prompt", ["Steps: 20, Sampler: Euler a, CFG scale: 2, Seed: 3", "Steps: of a stone stair"])
def test_a_prompt_that_begins_like_the_settings_is_read_as_one(tmp_path: Path, prompt: str) -> None:
    file = tmp_path / "image.png"
    file.write_bytes(_png(_record(Job(prompt=prompt, seed=7))))
    for settings in (_as_sd_parsers_reads_it(file), _as_sd_geninfo_reads_it(file)):
        assert settings["prompt"].strip() == prompt
        assert (settings["Seed"], settings["Steps"], settings["Sampler"]) == ("7", "75", "DDIM")


@pytest.mark.parametrize("prompt", HOSTILE)
@pytest.mark.parametrize("negative", ["", "blurry, 水印\nugly"])
def test_hostile_prompts_survive_in_the_png(prompt: str, negative: str) -> None:
    _survives(prompt, negative)


@given(prompt=PROMPTS, negative=PROMPTS)
def test_any_prompt_survives_in_the_png(prompt: str, negative: str) -> None:
    _survives(prompt, negative)


@given(prompt=PROMPTS)
def test_any_prompt_survives_in_the_json(prompt: str) -> None:
    job = Job(prompt=prompt, seed=2**63 - 1)
    record = _record(job, 3)
    read = ImageRecord.from_json(record.to_json())
    assert read == record
    assert Job.model_validate(read.job) == job
    assert (read.index, read.seed, read.file, read.seconds) == (3, 2, "00003.png", 1.235)
    assert json.loads(record.to_json())["schema"] == 1


def test_an_image_that_an_earlier_version_made_by_hand_is_a_job_still() -> None:
    document = json.loads(_record(Job(init_img="inputs/horse.png")).to_json())
    document["job"]["init_img"] = "init-img.png"
    assert Job.model_validate(ImageRecord.from_json(json.dumps(document).encode()).job).from_image


def test_an_image_of_a_prompt_file_tells_of_its_own_line() -> None:
    job = Job(from_file="inputs/p.txt", n_iter=1)
    lines = read_prompt_file(b"a horse\na tree --steps 9 --seed 5 --W 128", job)
    requests = image_requests(job, lines)
    record = describe_image(job, requests, 1, run_id="x", seconds=1, drawn_with=_drawn_with([0, 1]), versions=VERSIONS)
    assert parameters_text(record).startswith(
        "a tree\nSteps: 9, Sampler: DDIM, CFG scale: 7.5, Seed: 5, Size: 128x512,"
    )
    assert record.request.line == 2


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_png_of_ours_is_told(content: bytes) -> None:
    with pytest.raises(ValueError, match="no PNG"):
        record_in_png(content)
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, format="PNG")
    with pytest.raises(ValueError, match="no text sd-on-ec2"):
        record_in_png(file.getvalue())


def _survives(prompt: str, negative: str) -> None:
    record = _record(Job(prompt=prompt, negative_prompt=negative))
    png = _png(record)
    assert record_in_png(png) == record
    picture = Image.open(io.BytesIO(png))
    picture.load()
    *texts, settings = picture.text["parameters"].rpartition("\n")  # type: ignore[attr-defined]
    prompt, negative = prompt.replace("\0", " "), negative.replace("\0", " ")
    shown = f" {prompt}" if prompt.startswith("Steps:") else prompt
    assert "".join(texts) == (f"{shown}\nNegative prompt: {negative}\n" if negative else f"{shown}\n")
    assert settings.startswith("Steps: 75, Sampler: DDIM, CFG scale: 7.5, Seed: 42, Size: 640x512, ")


def _record(job: Job, index: int = 0) -> ImageRecord:
    drawn_with = _drawn_with([index])
    requests = image_requests(job)
    return describe_image(
        job, requests, index, run_id=job.name, seconds=1.23456, drawn_with=drawn_with, versions=VERSIONS
    )


def _drawn_with(indices: list[int]) -> DrawnWith:
    return DrawnWith(indices=indices, execution="eager", precision="float32", device="cpu", emphasis=True)


def _text_chunks(png: bytes) -> list[bytes]:
    """What is in the tEXt chunks: a keyword, a NUL, and the text."""
    found, position = [], 8
    while position < len(png):
        length = int.from_bytes(png[position : position + 4], "big")
        if png[position + 4 : position + 8] == b"tEXt":
            found.append(png[position + 8 : position + 8 + length])
        position += 12 + length
    return found


def _png(record: ImageRecord) -> bytes:
    return png_with_record(Image.new("RGB", (8, 8)), record)


def _as_sd_parsers_reads_it(file: Path) -> Mapping[Any, Any]:
    read = ParserManager().parse(file)
    assert read is not None
    (sampler,) = read.samplers
    names = {"cfg_scale": "CFG scale", "seed": "Seed", "steps": "Steps", "scheduler": "Schedule type"}
    assert sampler.model is not None
    settings: dict[Any, Any] = {
        "prompt": "".join(prompt.value for prompt in sampler.prompts),
        "negative_prompt": "".join(prompt.value for prompt in sampler.negative_prompts),
        "Sampler": str(sampler.name),
        "Model": sampler.model.name,
        "Model hash": sampler.model.hash,
        **{names.get(str(name), name): value for name, value in sampler.parameters.items()},
        **read.metadata,
    }
    return settings


def _as_sd_geninfo_reads_it(file: Path) -> Mapping[str, Any]:
    """Lines of `name: value`, as its command prints them with --format yaml."""
    text, _ = read_geninfo(Image.open(file))
    settings = dict(line.split(": ", 1) for line in parse_geninfo(text).splitlines())
    names = {"Positive prompt": "prompt", "Negative prompt": "negative_prompt"}
    return {names.get(str(name), str(name)): value for name, value in settings.items()}
