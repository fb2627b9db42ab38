"""What the template allows and refuses for each model."""

from __future__ import annotations

import itertools
import re
from contextlib import nullcontext
from typing import Any

import pytest

from scripts.local.cloudformation.intrinsic_functions import Resolver
from scripts.local.cloudformation.rules import RuleError
from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.model_refusal import refusal
from stacks.ways_chosen import ways_for
from tests.synth.conftest import Template, check_deploy, resources
from userdata.contract.catalogue import read_catalogue
from userdata.job.job import Job
from userdata.job.model_rules import why_not_model

pytestmark = pytest.mark.synth

PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012"}


def rights(template: Template, **parameters: str) -> dict[str, Any]:
    """The resource of each statement for the deployed model, by the statement's name."""
    (policy,) = [p for p in resources(template, "AWS::IAM::Policy") if "FetchModel" in str(p)]
    defaults = {name: one.get("Default", "") for name, one in template["Parameters"].items()}
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    no_resources: dict[str, Any] = {}
    resolver = Resolver(template, {**PSEUDO, **defaults, **parameters}, no_resources.__getitem__, list)
    assert [statement["Action"] for statement in statements] == ["s3:GetObject"] * 4 + ["ssm:GetParameter"]
    return {statement["Sid"]: resolver.resolve(statement["Resource"]) for statement in statements}


def test_by_default_nothing_more_may_be_read(template: Template) -> None:
    assert rights(template) == {
        "FetchModel": "arn:aws:s3:::nothing",
        "FetchLora": ["arn:aws:s3:::nothing"] * 4,
        "FetchVae": "arn:aws:s3:::nothing",
        "FetchEmbeddings": ["arn:aws:s3:::nothing"] * 4,
        "ReadHubToken": "arn:aws:ssm:eu-west-1:123456789012:parameter",
    }


def test_exactly_what_is_named_may_be_read(template: Template) -> None:
    allowed = rights(
        template,
        Model="s3://my-models/xl/mine.safetensors",
        Lora="hf:o/n/a.safetensors:0.5, s3://my-loras/style.safetensors:0.8,s3://others/deep/b.safetensors",
        Vae="s3://my-models/vae.pt",
        Embeddings="inputs/a.pt,s3://others/b.safetensors",
        HubToken="/sd-on-ec2/hugging-face",
    )
    assert allowed == {
        "FetchModel": "arn:aws:s3:::my-models/xl/mine.safetensors",
        "FetchLora": [
            "arn:aws:s3:::nothing",
            "arn:aws:s3:::my-loras/style.safetensors",
            "arn:aws:s3:::others/deep/b.safetensors",
            "arn:aws:s3:::nothing",
        ],
        "FetchVae": "arn:aws:s3:::my-models/vae.pt",
        "FetchEmbeddings": ["arn:aws:s3:::nothing", "arn:aws:s3:::others/b.safetensors", *["arn:aws:s3:::nothing"] * 2],
        "ReadHubToken": "arn:aws:ssm:eu-west-1:123456789012:parameter/sd-on-ec2/hugging-face",
    }


@pytest.mark.parametrize(
    ("model", "instance_type", "volume_size", "why"),
    [
        ("flux-schnell", "g5.xlarge", "200", None),
        ("flux-schnell", "g6e.xlarge", "100", "33.7 GB of weights: choose a VolumeSize of at least 117"),
        ("flux-schnell", "g6e.xlarge", "117", None),
        ("flux-schnell", "g9.xlarge", "200", None),
        ("flux2-klein", "g4dn.xlarge", "100", "computes in bfloat16, which the T4 does not have"),
        ("flux2-klein", "g6.xlarge", "100", None),
        ("z-image-turbo", "g5.xlarge", "115", "32.8 GB of weights: choose a VolumeSize of at least 116"),
        ("chroma", "g6.xlarge", "200", None),
        ("sdxl-base", "g4dn.xlarge", "100", None),
        ("stable-diffusion-v1-5", "g4dn.xlarge", "80", None),
        ("s3://bucket/any.safetensors", "g4dn.xlarge", "80", None),
    ],
)
def test_a_model_that_does_not_fit_is_refused(
    template: Template, model: str, instance_type: str, volume_size: str, why: str | None
) -> None:
    values = {"Model": model, "InstanceType": instance_type, "VolumeSize": volume_size, "BootstrapVersion": "99"}
    if why is None:
        check_deploy(template, values)
        return
    with pytest.raises(RuleError, match=why):
        check_deploy(template, values)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"Quantize": "off"}, "with Quantize=off needs 32 GiB of GPU memory: choose at least g6e.xlarge"),
        (
            {"Lora": "inputs/a.safetensors"},
            "because of its LoRA needs 32 GiB of GPU memory: choose at least g6e",
        ),
        ({"Quantize": "int8"}, None),
        ({"Quantize": "nf4"}, None),
        ({"Quantize": "fp8"}, r"the A10G \(compute capability 8.6\) multiplies no fp8 numbers"),
        ({"Quantize": "fp8", "InstanceType": "g6.xlarge"}, None),
        ({"Quantize": "fp8", "InstanceType": "g7e.2xlarge"}, "not sure to work on the RTX PRO 6000"),
        ({"Quantize": "int8", "InstanceType": "g4dn.xlarge"}, "computes in bfloat16, which the T4 does not have"),
        ({"Quantize": "int8", "Lora": "inputs/a.safetensors"}, "A LoRA is merged into a model's own weights"),
        ({"Quantize": "int8", "Precision": "full", "InstanceType": "g7e.2xlarge"}, "exclude each other"),
        ({"Quantize": "int8", "Model": "sdxl-base"}, "is for flux-schnell, flux2-klein"),
        ({"Quantize": "int8", "Model": "s3://bucket/any.safetensors"}, "is for flux-schnell, flux2-klein"),
    ],
)
def test_a_type_that_card_or_model_cannot_do_is_refused(
    template: Template, given: dict[str, str], why: str | None
) -> None:
    usual = {"Model": "flux-schnell", "InstanceType": "g5.xlarge", "VolumeSize": "200", "BootstrapVersion": "99"}
    with nullcontext() if why is None else pytest.raises(RuleError, match=why):
        check_deploy(template, {**usual, **given})


def test_the_template_refuses_of_each_model_what_the_job_refuses_and_in_its_words(template: Template) -> None:
    usual = {"InstanceType": "p5.4xlarge", "VolumeSize": "1000", "BootstrapVersion": "99"}
    others = {"sampler": "ddim", "prediction": "v", "upscale": "2", "init_img": "inputs/a.png", "vae": "inputs/a.pt"}
    others |= {"negative_prompt": "rain", "init_mask": "inputs/m.png", "embeddings": "inputs/a.pt"}
    for name in read_catalogue():
        deploy = {**usual, "Model": name, "AcceptLicence": name}
        check_deploy(template, deploy)
        for field, value in others.items():
            alias = str(Job.model_fields[field].alias)
            job = Job.model_construct(**{**Job(model=name).model_dump(), field: value})
            why = why_not_model(job)
            words = why and re.escape(f"{alias} is given, but {why.split(', but ')[1]}")
            with nullcontext() if words is None else pytest.raises(RuleError, match=words):
                check_deploy(template, {**deploy, alias: value})


def test_the_template_refuses_the_cards_that_sd_refuses_and_in_its_words(template: Template) -> None:
    cards = {one.gpu.name: name for name, one in reversed(INSTANCE_TYPES.items())}
    for name, model in read_catalogue().items():
        for ways, instance_type in itertools.product(ways_for(model), cards.values()):
            given = {"Precision": ways.precision, "Quantize": ways.quantize, "Lora": "inputs/a.safetensors" * ways.lora}
            values = {"Model": name, "AcceptLicence": name, "InstanceType": instance_type, "VolumeSize": "1000"}
            why = refusal(model, instance_type=instance_type, volume_size=1000, ways=ways)
            words = why and re.escape(why.split(". ", 1)[1])
            with nullcontext() if words is None else pytest.raises(RuleError, match=words):
                check_deploy(template, {**values, **given, "BootstrapVersion": "99"})


@pytest.mark.parametrize("accepted", ["", "sdxl-turbo"])
def test_a_restrictive_licence_wants_a_word_before(template: Template, accepted: str) -> None:
    values = {"Model": "sdxl-turbo", "InstanceType": "g6.xlarge", "VolumeSize": "100", "BootstrapVersion": "99"}
    why = "forbids commercial use without .* say so: AcceptLicence=sdxl-turbo"
    with nullcontext() if accepted else pytest.raises(RuleError, match=why):
        check_deploy(template, {**values, "AcceptLicence": accepted})


@pytest.mark.parametrize(
    ("model", "instance_type", "why"),
    [
        ("sdxl-base", "g4dn.xlarge", "with Precision=full needs 17.5 GiB of GPU memory: choose at least g6.xlarge"),
        ("sdxl-base", "g5.xlarge", None),
        ("flux-schnell", "g6e.xlarge", "with Precision=full needs 67.4 GiB of GPU memory: choose at least g7e.2xlarge"),
        ("flux-schnell", "g7e.2xlarge", None),
        ("stable-diffusion-v1-5", "g4dn.xlarge", None),
    ],
)
def test_single_precision_takes_more_memory(
    template: Template, model: str, instance_type: str, why: str | None
) -> None:
    values = {"Model": model, "InstanceType": instance_type, "VolumeSize": "200", "BootstrapVersion": "99"}
    if why is None:
        check_deploy(template, {**values, "Precision": "full"})
        return
    with pytest.raises(RuleError, match=why):
        check_deploy(template, {**values, "Precision": "full"})


def test_a_second_pass_takes_more_memory_in_the_models_own_size(template: Template) -> None:
    machine = {"InstanceType": "g6.xlarge", "VolumeSize": "100", "BootstrapVersion": "99"}
    values = {"Model": "sdxl-base", "Height": "", "Width": "", **machine}
    for given in ({"Precision": "full"}, {"Upscale": "2"}, {"Precision": "full", "Upscale": "2", "Height": "64"}):
        check_deploy(template, {**values, **given})
    with pytest.raises(RuleError, match="and a second pass of that size needs 24.3 GiB .* choose at least g6e.xlarge"):
        check_deploy(template, {**values, "Precision": "full", "Upscale": "2"})


@pytest.mark.parametrize(
    ("instance_type", "refused"), [("g5.xlarge", False), ("g6e.xlarge", False), ("p5.4xlarge", True)]
)
def test_the_original_scripts_run_on_cards_that_their_torch_knows(
    template: Template, instance_type: str, refused: bool
) -> None:
    values = {"Engine": "compvis", "InstanceType": instance_type, "VolumeSize": "100", "BootstrapVersion": "99"}
    if not refused:
        check_deploy(template, values)
        return
    with pytest.raises(RuleError, match="Engine=compvis runs PyTorch of 2022"):
        check_deploy(template, values)
