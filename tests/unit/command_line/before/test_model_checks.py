"""A model that cannot be had, or does not fit, is told before the deploy costs anything; doubt lets it pass."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import boto3
import pytest
import torch
from safetensors.torch import save_file

from scripts.command_line.before.model_checks import check_model
from scripts.command_line.terminal.command_error import CommandError
from stacks.facts.machine_parameters import MachineParameters
from tests.unit.command_line.conftest import Account, refusal
from userdata.boot.fetch.hub import UnreachableError
from userdata.boot.machine.step_error import StepError
from userdata.contract.catalogue import find_model
from userdata.job.job import Job

TOKEN = "/sd-on-ec2/hugging-face"
ROOMY = {"InstanceType": "g6e.xlarge", "VolumeSize": "200"}


class Hub:
    """Takes the place of the hub: answers with an error or with nothing wrong, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.error: Exception | None = None

    def __call__(self, **question: Any) -> None:
        self.asked.append(question)
        if self.error:
            raise self.error


@pytest.fixture
def hub() -> Hub:
    return Hub()


def check(session: boto3.Session, hub: Hub, job: Job, **machine: str) -> None:
    check_model(session, job, MachineParameters.model_validate(machine), pin=hub)


def test_what_does_not_fit_the_card_is_refused(session: boto3.Session, hub: Hub) -> None:
    for given in ({"quantize": "off"}, {"lora": "inputs/a.safetensors"}):
        with pytest.raises(CommandError, match="card is the .* needs 32 GiB .* choose at least g6e.xlarge"):
            check(session, hub, Job(model="flux-schnell", **given), HubToken=TOKEN)
    with pytest.raises(CommandError, match="cannot be kept in fp8, because the A10G .* take Quantize=int8"):
        check(session, hub, Job(model="flux-schnell", quantize="fp8"), HubToken=TOKEN, InstanceType="g5.xlarge")
    assert hub.asked == []


@pytest.mark.parametrize("name", ["flux2-klein", "z-image-turbo", "chroma"])
def test_a_card_without_the_models_numbers_is_refused(session: boto3.Session, hub: Hub, name: str) -> None:
    with pytest.raises(CommandError, match=r"card is the T4\. .* computes in bfloat16.* choose at least g6e?\.xlarge"):
        check(session, hub, Job(model=name), InstanceType="g4dn.xlarge", VolumeSize="200")


def test_a_restrictive_licence_wants_a_word_before(session: boto3.Session, hub: Hub) -> None:
    with pytest.raises(CommandError, match=r"which forbids commercial use .*`sd deploy --accept-licence sdxl-turbo`"):
        check(session, hub, Job(model="sdxl-turbo"))
    check(session, hub, Job(model="sdxl-turbo"), AcceptLicence="sdxl-turbo")
    check(session, hub, Job(), AcceptLicence="sdxl-turbo")
    by_its_place = Job(model="hf:StabilityAI/sdxl-turbo@main/sd_xl_turbo_1.0_fp16.safetensors")
    with pytest.raises(CommandError, match="SDXL Turbo is under the licence Stability AI Community"):
        check(session, hub, by_its_place)
    check(session, hub, by_its_place, AcceptLicence="sdxl-turbo")


def test_in_single_precision_it_takes_more(session: boto3.Session, hub: Hub) -> None:
    small = {"InstanceType": "g4dn.xlarge"}
    check(session, hub, Job(model="sdxl-base"), **small)
    with pytest.raises(CommandError, match="Precision=full needs 17.5 GiB of GPU memory: choose at least g6.xlarge"):
        check(session, hub, Job(model="sdxl-base", precision="full"), **small)


def test_a_gated_model_wants_a_token(session: boto3.Session, hub: Hub) -> None:
    with pytest.raises(CommandError, match=r"flux-schnell wants a token: .*--hub-token /sd-on-ec2/hugging-face\.$"):
        check(session, hub, Job(model="flux-schnell"), **ROOMY)
    assert hub.asked == []


def test_the_token_is_read_from_the_secret_and_shown_to_the_hub(session: boto3.Session, hub: Hub) -> None:
    session.client("ssm").put_parameter(Name=TOKEN, Value=" hf_secret\n", Type="SecureString")
    check(session, hub, Job(model="flux-schnell"), HubToken=TOKEN, **ROOMY)
    model = find_model("flux-schnell")
    assert [(one["repository"], one["revision"], one["token"]) for one in hub.asked] == [
        (model.repository, model.revision, "hf_secret")
    ]


def test_a_token_that_is_not_there_or_not_secret_is_named(session: boto3.Session, hub: Hub) -> None:
    with pytest.raises(CommandError, match=f"Parameter Store has no such parameter in us-east-1.*--name {TOKEN}"):
        check(session, hub, Job(), HubToken=TOKEN)
    session.client("ssm").put_parameter(Name=TOKEN, Value="hf_secret", Type="String")
    with pytest.raises(CommandError, match="which is a String: a token is a secret") as found:
        check(session, hub, Job(), HubToken=TOKEN)
    assert "hf_secret" not in str(found.value)


def test_own_model_and_lora_of_the_hub_are_both_asked_for(session: boto3.Session, hub: Hub) -> None:
    check(session, hub, Job(model="hf:a/b@v2/c.safetensors", lora="hf:d/e/f.safetensors:0.5"))
    assert [(one["repository"], one["revision"], one["path"]) for one in hub.asked] == [
        ("a/b", "v2", "c.safetensors"),
        ("d/e", "main", "f.safetensors"),
    ]


def test_the_hub_s_refusal_is_handed_on_and_its_silence_is_not(session: boto3.Session, hub: Hub) -> None:
    job = Job(model="hf:a/b/c.safetensors")
    hub.error = StepError("There is no such file.")
    with pytest.raises(CommandError, match=r"^There is no such file\.$"):
        check(session, hub, job)
    hub.error = UnreachableError("The hub could not be asked.")
    check(session, hub, job)


def test_an_object_that_is_not_there_is_refused(account: Account, hub: Hub) -> None:
    account.deploy()
    job = Job(model=f"s3://{account.bucket}/models/own.safetensors")
    with pytest.raises(CommandError, match=rf"^There is no object {job.model}\. Upload it"):
        check(account.session, hub, job)
    account.put("models/own.safetensors", b"weights")
    check(account.session, hub, job)


@pytest.mark.parametrize(("code", "passes"), [("403", True), ("400", False)])
def test_only_the_instance_s_role_knows_what_it_may_read(
    session: boto3.Session, hub: Hub, code: str, passes: bool
) -> None:
    session.events.register_first("before-call.s3.HeadObject", refusal(code))
    job = Job(model="s3://other-bucket/own.safetensors")
    if passes:
        check(session, hub, job)
    else:
        with pytest.raises(CommandError, match="Could not look for s3://other-bucket/own.safetensors"):
            check(session, hub, job)


@pytest.mark.parametrize(
    ("named", "tensors", "why"),
    [
        ("vae", {"decoder.conv_in.weight": 1, "encoder.conv_in.weight": 1}, ""),
        ("vae", {"x.lora_down.weight": 1}, r"^a\.pt is no VAE that can be used: it is a LoRA, which is named as Lora"),
        ("embeddings", {"emb_params": 768}, ""),
        ("embeddings", {"emb_params": 1024}, r"^a\.pt is no embedding .* made for Stable Diffusion 2"),
    ],
)
def test_a_file_that_is_uploaded_is_looked_into_before(
    session: boto3.Session, hub: Hub, tmp_path: Path, named: str, tensors: dict[str, int], why: str
) -> None:
    save_file({name: torch.ones(2, width) for name, width in tensors.items()}, tmp_path / "a.pt")
    job = Job.model_validate({named: "inputs/a.pt"})
    with pytest.raises(CommandError, match=why) if why else nullcontext():
        check_model(session, job, MachineParameters(), uploads={"inputs/a.pt": tmp_path / "a.pt"}, pin=hub)
