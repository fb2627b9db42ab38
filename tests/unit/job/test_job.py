"""The schema: what it refuses, how it says so, and that CloudFormation refuses the same."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from scripts.command_line.account.plan import make_plan
from stacks.facts.machine_parameters import MachineParameters
from stacks.parameters import parameters_of
from userdata.contract.image_size import rounded_in_words
from userdata.contract.run_name import LATER_WORDS, NUMBERS, WORDS, run_name
from userdata.job.job import Job
from userdata.job.refusal import explain

BAD: list[tuple[type[BaseModel], str, str]] = [
    (Job, "Prompt", ""),
    (Job, "Prompt", " \n\t"),
    (Job, "Prompt", "x" * 1001),
    (Job, "NegativePrompt", "x" * 1001),
    (Job, "Height", "63"),
    (Job, "Height", "2049"),
    (Job, "Height", "0"),
    (Job, "Width", "4096"),
    (Job, "Width", "640.5"),
    (Job, "Width", "515.0"),
    (Job, "Width", "+515"),
    (Job, "Width", " 515"),
    (Job, "Width", "5_15"),
    (Job, "Width", "5" * 5000),
    (Job, "Seed", "5" * 5000),
    (Job, "Seed", "1e3"),
    (Job, "Steps", "0"),
    (Job, "Steps", "1001"),
    (Job, "Steps", "1.5"),
    (Job, "Steps", "-1"),
    (Job, "Iterations", "0"),
    (Job, "Samples", "17"),
    (Job, "GuidanceScale", "-0.1"),
    (Job, "GuidanceScale", "50.1"),
    (Job, "Seed", "9223372036854775808"),
    (Job, "Seed", "-2"),
    (Job, "Seed", "-0"),
    (Job, "Seed", "--1"),
    (Job, "Sampler", "magic"),
    (Job, "Model", "unknown"),
    (Job, "Model", "hf:../../x.safetensors"),
    (Job, "Model", "hf:owner/../x.safetensors"),
    (Job, "Model", "hf:owner/name/../../x.safetensors"),
    (Job, "Model", "hf:owner/name@../x.safetensors"),
    (Job, "Model", "hf:owner/name//x.ckpt"),
    (Job, "Model", "hf:owner/name"),
    (Job, "Lora", "hf:owner/name/../x.safetensors"),
    (Job, "Lora", "inputs/style.safetensors:9.5"),
    (Job, "Lora", "inputs/style.safetensors:"),
    (Job, "Upscale", "3"),
    (Job, "Upscale", "1.5"),
    (Job, "InitMask", "inputs/" + "m" * 42),
    (Job, "InitImage", "../horse.png"),
    (Job, "InitImage", "/etc/passwd"),
    (Job, "InitImage", "photos/horse.png"),
    (Job, "InitImage", "my-inputs/horse.png"),
    (Job, "InitImage", "cache/inputs/horse.png"),
    (Job, "InitImage", "inputs/"),
    (Job, "InitImage", "inputs/horse.png\n"),
    (Job, "Strength", "1.5"),
    (Job, "Strength", "0"),
    (Job, "Eta", "1.1"),
    (Job, "Eta", "-0.1"),
    (Job, "Rows", "101"),
    (Job, "FixedCode", "yes"),
    (Job, "SkipGrid", ""),
    (Job, "Precision", "half"),
    (Job, "PromptFile", "../prompts.txt"),
    (Job, "PromptFile", "inputs/prompts.csv"),
    (Job, "PromptFile", "notes/prompts.txt"),
    (Job, "PromptFile", "inputs/" + "p" * 190 + ".txt"),
    (Job, "RunId", "a b"),
    (Job, "RunId", "a/b"),
    (MachineParameters, "InstanceType", "t3.micro"),
    (MachineParameters, "InstanceType", "p3.2xlarge"),
    (MachineParameters, "InstanceType", "g5.xlarge; id"),
    (MachineParameters, "VolumeSize", "30"),
    (MachineParameters, "SshCidr", "1.2.3.4"),
    (MachineParameters, "SshCidr", "1.2.3.400/32"),
    (MachineParameters, "SshCidr", "0.0.0.0/0"),
    (MachineParameters, "SshCidr", "everywhere"),
    (MachineParameters, "AfterRun", "explode"),
    (MachineParameters, "OnFailure", "terminate"),
    (MachineParameters, "IdleMinutes", "-5"),
    (MachineParameters, "MaxHours", "0"),
    (MachineParameters, "MaxHours", "25"),
    *((Job, "GuidanceScale", text) for text in ("1_0", "1e1", ".5", " 7", "+7", "７", "nan", "inf", "-0", "7,5")),
    *((Job, "Strength", text) for text in ("nan", "0_1", " ", "0.5e")),
    *((MachineParameters, "MaxHours", text) for text in ("1_0", "+5", " 5", "5.5", "５")),
    *((MachineParameters, "IdleMinutes", text) for text in ("1_0", "+5", "1e1")),
    *((MachineParameters, "MaxSpend", text) for text in ("nan", "inf", "５_0", "2,5")),
]


def accepted_by_cloudformation(properties: dict[str, Any], text: str) -> bool:
    """CloudFormation's own rules for one value, as its documentation of parameters states them."""
    if properties["type"] == "Number":
        try:
            number = float(text)
        except ValueError:
            return False
        plain = text.isascii() and "_" not in text and text == text.strip()
        return bool(plain and properties["min_value"] <= number <= properties["max_value"])
    if "allowed_values" in properties and text not in properties["allowed_values"]:
        return False
    if not properties.get("min_length", 0) <= len(text) <= properties.get("max_length", 4096):
        return False
    pattern = properties.get("allowed_pattern")
    return pattern is None or re.fullmatch(pattern.replace("$", r"\Z"), text) is not None


def properties_of(model: type[BaseModel], name: str) -> dict[str, Any]:
    return next(parameter.properties for parameter in parameters_of(model) if parameter.name == name)


@pytest.mark.parametrize(("model", "name", "text"), BAD)
def test_nonsense_is_refused_by_the_schema_and_by_cloudformation_alike(
    model: type[BaseModel], name: str, text: str
) -> None:
    with pytest.raises(ValidationError) as refusal:
        model.model_validate({name: text})
    (sentence,) = explain(refusal.value, model)
    assert sentence.startswith(f"{name} is ")
    assert "but must be" in sentence
    assert re.search(r"for example|one of", sentence)
    if len(text) < 80:
        assert repr(text) in sentence
    assert not accepted_by_cloudformation(properties_of(model, name), text)


@pytest.mark.parametrize(("field", "value"), [("H", 515.0), ("seed", True), ("scale", True), ("strength", True)])
def test_a_number_of_another_kind_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Job.model_validate({field: value})


def test_the_defaults_are_the_articles_run() -> None:
    job, machine = Job(), MachineParameters()
    assert (job.H, job.W, job.n_iter, job.n_samples, job.ddim_steps) == (512, 640, 2, 3, 75)
    assert machine.instance_type == "g6.xlarge"
    assert job.images_total == 6


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Model", "hf:Lykon/DreamShaper/DreamShaper_8_pruned.safetensors"),
        ("Model", "hf:o-1/n.2@refs_v1.0/a+b/c_d/x.y.ckpt"),
        ("Lora", "hf:owner/name@v1.0/style.safetensors:-9"),
        ("Lora", "inputs/style.safetensors:8.999"),
        ("Lora", "s3://bucket/style.safetensors:9.0"),
        ("Seed", "-1"),
        ("Seed", "156680208700286"),
        ("Seed", "9223372036854775807"),
    ],
)
def test_a_place_is_accepted_by_both(name: str, text: str) -> None:
    Job.model_validate({name: text})
    assert accepted_by_cloudformation(properties_of(Job, name), text)


@pytest.mark.parametrize("model", [Job, MachineParameters])
def test_a_number_with_leading_zeros_is_sent_as_cloudformation_takes_it(model: type[BaseModel]) -> None:
    numbers = {
        str(field.alias): str(field.default)
        for field in model.model_fields.values()
        if field.annotation in (int, float)
    }
    given = {name: text if text.startswith("-") else f"00{text}" for name, text in numbers.items()}
    changes = make_plan(None, given, {}).changes
    assert changes == numbers
    assert [
        name for name, text in changes.items() if not accepted_by_cloudformation(properties_of(model, name), text)
    ] == []


@pytest.mark.parametrize("model", [Job, MachineParameters])
def test_every_default_passes_both_checks(model: type[BaseModel]) -> None:
    for parameter in parameters_of(model):
        text = parameter.properties["default"]
        assert accepted_by_cloudformation(parameter.properties, text), parameter.name
        model.model_validate({parameter.name: text})


@given(st.text(min_size=1, max_size=1000).filter(str.strip))
def test_any_text_is_a_prompt_and_stays_as_it_is(prompt: str) -> None:
    assert Job.model_validate({"Prompt": prompt}).prompt == prompt
    assert accepted_by_cloudformation(properties_of(Job, "Prompt"), prompt)


@given(
    st.fixed_dictionaries(
        {
            "Prompt": st.text(min_size=1, max_size=80).filter(str.strip),
            "Height": st.integers(64, 2048),
            "Eta": st.floats(0, 1),
            "SkipGrid": st.sampled_from(["on", "off"]),
            "Steps": st.integers(1, 1000),
            "GuidanceScale": st.decimals(0, 50, places=13).map("{:f}".format),
            "Strength": st.floats(0.01, 1),
            "Seed": st.integers(-1, 2**63 - 1),
        }
    )
)
def test_the_boot_and_the_worker_name_a_run_alike(given_values: dict[str, Any]) -> None:
    as_typed = {name: str(value) for name, value in given_values.items()}
    job = Job.model_validate(as_typed)
    everything = {p.name: p.properties["default"] for p in parameters_of(Job)}
    assert job.name == run_name({**everything, **as_typed})
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*-[0-9a-f]{10}", job.name)


def test_the_run_name_covers_every_field_of_the_job() -> None:
    assert {field.alias for field in Job.model_fields.values()} == NUMBERS | WORDS | set(LATER_WORDS)
    usual = {name: str(value) for name, value in Job().model_dump(by_alias=True).items()}
    assert {**usual, **LATER_WORDS} == usual
    assert len({Job().name, Job(upscale=2).name, run_name({**usual, "Upscale": "2"})}) == 2
    assert Job(prediction="v").name != Job().name
    assert Job(vae="inputs/vae.pt").name != Job().name


def test_large_seeds_are_runs_of_their_own() -> None:
    """As fractions these numbers would be one."""
    assert len({Job(seed=seed).name for seed in range(2**60, 2**60 + 9)}) == 9


def test_another_way_to_write_a_number_is_the_same_run() -> None:
    assert Job.model_validate({"GuidanceScale": "7.50"}).name == Job().name


@pytest.mark.parametrize("change", [{"seed": 43}, {"run_id": "again"}, {"negative_prompt": "x"}, {"prompt": "a horse"}])
def test_another_request_is_another_run(change: dict[str, Any]) -> None:
    assert Job.model_validate(change).name != Job().name


def test_steps_and_strength_that_leave_nothing_to_do_are_refused() -> None:
    with pytest.raises(ValidationError) as refusal:
        Job(ddim_steps=10, strength=0.05, init_img="inputs/horse.png")
    assert "Steps 10 and Strength 0.05 leave no step" in explain(refusal.value, Job)[0]


def test_a_text_of_another_encoding_is_told_as_that() -> None:
    with pytest.raises(ValidationError) as refusal:
        Job.model_validate({"Prompt": b"caf\xe9".decode(errors="surrogateescape")})
    assert explain(refusal.value, Job) == ["Prompt has bytes that are no UTF-8. Write it anew, in that encoding."]


def test_a_name_that_is_no_parameter_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValidationError) as refusal:
        Job.model_validate({"Promt": "a horse"})
    assert "Promt is not a parameter; there are Prompt, " in explain(refusal.value, Job)[0]


@pytest.mark.parametrize(
    ("model", "own"),
    [
        ("stable-diffusion-v1-5", (512, 640, 75, 7.5, "ddim")),
        ("sdxl-base", (1024, 1024, 50, 5, "euler")),
        ("sdxl-turbo", (512, 512, 4, 0, "euler_a")),
        ("flux-schnell", (1024, 1024, 4, 0, "euler")),
        ("flux2-klein", (1024, 1024, 4, 1, "euler")),
        ("z-image-turbo", (1024, 1024, 8, 0, "euler")),
        ("z-image", (1024, 1024, 50, 4, "euler")),
        ("chroma", (1024, 1024, 40, 3, "euler")),
        ("sdxl-lightning", (1024, 1024, 4, 0, "euler")),
        ("hf:owner/name/model.safetensors", (512, 640, 75, 7.5, "ddim")),
    ],
)
def test_what_is_not_given_is_the_models_own(model: str, own: tuple[object, ...]) -> None:
    empty = dict.fromkeys(("Height", "Width", "Steps", "GuidanceScale", "Sampler"), "")
    for job in (Job(model=model), Job.model_validate({"Model": model, **empty})):
        assert (job.H, job.W, job.ddim_steps, job.scale, job.sampler) == own


def test_what_is_given_is_kept_even_when_it_is_nothing() -> None:
    assert Job.model_validate({"GuidanceScale": "0", "Steps": "1"}).scale == 0


def test_left_to_the_model_and_given_alike_are_one_run() -> None:
    asked = {**Job(model="sdxl-turbo").model_dump(by_alias=True), "RunId": ""}
    assert run_name({**asked, "Steps": "", "Sampler": ""}) == run_name({**asked, "Steps": "4"})
    assert run_name({**asked, "Steps": ""}) != run_name({**asked, "Steps": "3"})


@pytest.mark.parametrize(
    "model",
    [
        "dall-e",
        "",
        "hf:name/model.safetensors",
        "hf:owner/name/model.gguf",
        "hf:owner/name/a b.safetensors",
        "https://example.org/model.safetensors",
        "s3://bucket",
        "s3://Bucket/model.safetensors",
        "s3://bucket/$(id).safetensors",
    ],
)
def test_a_model_that_is_none_is_refused_with_the_forms_that_are(model: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Job(model=model)
    (sentence,) = explain(refused.value, Job)
    assert sentence.startswith("Model is ")
    assert "hf:owner/name/file or s3://bucket/key" in sentence


@pytest.mark.parametrize(
    ("model", "asked", "why"),
    [
        ("flux-schnell", {"sampler": "ddim"}, r"Sampler is .*ddim.*, but FLUX.1 \[schnell\] samples with euler only"),
        ("sdxl-lightning", {"sampler": "ddim"}, "SDXL-Lightning, 4 steps samples with euler only"),
        ("z-image-turbo", {"negative_prompt": "blurry"}, "NegativePrompt .* Z-Image-Turbo .* reads none: leave it out"),
        ("flux2-klein", {"negative_prompt": "blurry"}, r"NegativePrompt .* FLUX.2 \[klein\] 4B .* for example z-image"),
        ("sdxl-lightning", {"scale": 7.5}, "GuidanceScale is 7.5, but SDXL-Lightning.* draw without guidance"),
        ("flux2-klein", {"init_img": "inputs/a.png"}, "InitImage .* starts from noise only.* example z-image-turbo"),
        ("chroma", {"embeddings": "inputs/a.pt"}, "Embeddings is given, but Chroma1-HD does not know it"),
        ("z-image", {"prediction": "v"}, "Prediction is v, but Z-Image does not know it"),
        ("flux2-klein", {"vae": "inputs/a.pt"}, "Vae is given, but FLUX.2"),
        ("z-image", {"negative_prompt": "blurry", "scale": 5, "init_img": "inputs/a.png", "vae": "inputs/a.pt"}, ""),
        ("chroma", {"negative_prompt": "blurry", "init_img": "inputs/a.png"}, ""),
        ("flux2-klein", {"scale": 1, "negative_prompt": " "}, ""),
        ("sdxl-turbo", {"scale": 3, "negative_prompt": "blurry"}, ""),
    ],
)
def test_what_a_model_cannot_do_is_refused_by_its_name(model: str, asked: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why) if why else nullcontext():
        Job(model=model, **asked)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "InitMask is given without InitImage"),
        (
            {"init_img": "inputs/a.png", "model": "flux-schnell"},
            r"InitMask is given, but FLUX.1 \[schnell\] draws as a whole",
        ),
        (
            {"init_img": "inputs/a.png", "engine": "compvis"},
            "InitMask is given, which the original scripts do not know",
        ),
    ],
)
def test_a_mask_is_refused_where_nothing_could_be_done_with_it(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Job(init_mask="inputs/mask.png", **given)
    assert Job(init_mask="inputs/mask.png", init_img="inputs/a.png", model="hf:a/b/c.ckpt").init_mask


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"model": "flux-schnell"}, r"Upscale is 2, but FLUX.1 \[schnell\] draws as a whole and once only"),
        ({"engine": "compvis"}, "Upscale is given, which the original scripts do not know"),
        ({"init_img": "inputs/a.png"}, "InitImage is a first pass already: .* for example Height 1024 and Width 1280"),
        ({"W": 1032}, "makes images of 2064 x 1024 pixels, but edges are at most 2048"),
        ({"ddim_steps": 4, "strength": 0.2}, "Steps 4 and Strength 0.2 leave no step to do"),
        ({"watermark": "on", "H": 64, "W": 64}, "Watermark is on, but"),
    ],
)
def test_an_upscaling_is_refused_where_it_cannot_be(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Job(upscale=2, **given)
    assert Job(upscale=2, H=128, W=128, watermark="on").second_pass_pixels == 256**2
    assert Job().second_pass_pixels == 0


@pytest.mark.parametrize(
    ("model", "asked", "rounded"),
    [("stable-diffusion-v1-5", 513, 512), ("stable-diffusion-v1-5", 520, 520), ("flux-schnell", 520, 512)],
)
def test_an_edge_is_rounded_down_to_what_the_model_can_with_a_word(model: str, asked: int, rounded: int) -> None:
    assert rounded == Job(model=model, W=asked).W
    assert rounded == Job.model_validate({"Model": model, "Width": str(asked)}).W
    words = rounded_in_words({"Model": model, "Width": str(asked), "Height": ""})
    assert len(words) == (asked != rounded)
    assert all(f"Width {asked} is rounded down to {rounded}" in sentence for sentence in words)


def test_edges_left_to_the_initial_image_are_a_run_of_their_own() -> None:
    image = {**Job(init_img="inputs/horse.png").model_dump(by_alias=True)}
    left = run_name({**image, "Height": "", "Width": ""})
    assert left != run_name(image)
    assert run_name({**image, "Height": ""}) == run_name(image)
    assert run_name({**image, "Height": "", "Width": "", "InitImage": ""}) == run_name({**image, "InitImage": ""})


def test_a_run_is_named_after_its_prompt_file() -> None:
    assert Job(from_file="inputs/My_prompts-1a2b.txt").name.startswith("my-prompts-1a2b-")


def test_noise_in_each_step_is_for_ddim_only() -> None:
    assert Job(ddim_eta=0.5).ddim_eta == 0.5
    with pytest.raises(ValidationError) as refusal:
        Job(ddim_eta=0.5, sampler="plms")
    assert "Eta is 0.5, but must be 0 for Sampler plms" in explain(refusal.value, Job)[0]
