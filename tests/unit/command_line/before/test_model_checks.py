"""A model that cannot be had, or does not fit, is told before the deploy costs anything; doubt lets it pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from scripts.command_line.before import model_checks as module
from scripts.command_line.before.model_checks import check_model
from scripts.command_line.terminal.command_error import CommandError
from stacks.facts.machine_parameters import MachineParameters
from tests.unit.command_line.conftest import Account
from userdata.boot.fetch.hub import UnreachableError
from userdata.boot.machine.step_error import StepError
from userdata.contract.catalogue import find_model
from userdata.job.job import Job

TOKEN = "/sd-on-ec2/hugging-face"
ROOMY = {"InstanceType": "g6e.xlarge", "VolumeSize": "200"}
HubAnswers = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> HubAnswers:
    """Lets the hub answer with an error or with nothing wrong, and returns the questions that it will have heard."""

    def answers(error: Exception | None = None) -> list[dict[str, Any]]:
        questions: list[dict[str, Any]] = []

        def pin_hub_file(**question: Any) -> None:
            questions.append(question)
            if error:
                raise error

        monkeypatch.setattr(module, "pin_hub_file", pin_hub_file)
        return questions

    return answers


def check(session: boto3.Session, job: Job, **machine: str) -> None:
    check_model(session, job, MachineParameters.model_validate(machine))


def test_what_does_not_fit_the_card_is_refused(session: boto3.Session, hub: HubAnswers) -> None:
    asked = hub()
    with pytest.raises(CommandError, match="too small.* choose at least g6e.xlarge"):
        check(session, Job(model="flux-schnell"), HubToken=TOKEN)
    assert asked == []


def test_in_single_precision_it_takes_more(session: boto3.Session, hub: HubAnswers) -> None:
    hub()
    small = {"InstanceType": "g4dn.xlarge"}
    check(session, Job(model="sdxl-base"), **small)
    with pytest.raises(CommandError, match="Precision=full needs 17.5 GiB of GPU memory: choose at least g5.xlarge"):
        check(session, Job(model="sdxl-base", precision="full"), **small)


def test_a_gated_model_wants_a_token(session: boto3.Session, hub: HubAnswers) -> None:
    asked = hub()
    with pytest.raises(CommandError, match=r"flux-schnell wants a token: .*--hub-token /sd-on-ec2/hugging-face\.$"):
        check(session, Job(model="flux-schnell"), **ROOMY)
    assert asked == []


def test_the_token_is_read_from_the_secret_and_shown_to_the_hub(session: boto3.Session, hub: HubAnswers) -> None:
    session.client("ssm").put_parameter(Name=TOKEN, Value=" hf_secret\n", Type="SecureString")
    asked = hub()
    check(session, Job(model="flux-schnell"), HubToken=TOKEN, **ROOMY)
    model = find_model("flux-schnell")
    assert [(one["repository"], one["revision"], one["token"]) for one in asked] == [
        (model.repository, model.revision, "hf_secret")
    ]


def test_a_token_that_is_not_there_or_not_secret_is_named(session: boto3.Session, hub: HubAnswers) -> None:
    hub()
    with pytest.raises(CommandError, match=f"Parameter Store has no such parameter in us-east-1.*--name {TOKEN}"):
        check(session, Job(), HubToken=TOKEN)
    session.client("ssm").put_parameter(Name=TOKEN, Value="hf_secret", Type="String")
    with pytest.raises(CommandError, match="which is a String: a token is a secret") as found:
        check(session, Job(), HubToken=TOKEN)
    assert "hf_secret" not in str(found.value)


def test_own_model_and_lora_of_the_hub_are_both_asked_for(session: boto3.Session, hub: HubAnswers) -> None:
    asked = hub()
    check(session, Job(model="hf:a/b@v2/c.safetensors", lora="hf:d/e/f.safetensors:0.5"))
    assert [(one["repository"], one["revision"], one["path"]) for one in asked] == [
        ("a/b", "v2", "c.safetensors"),
        ("d/e", "main", "f.safetensors"),
    ]


def test_the_hub_s_refusal_is_handed_on_and_its_silence_is_not(session: boto3.Session, hub: HubAnswers) -> None:
    job = Job(model="hf:a/b/c.safetensors")
    hub(StepError("There is no such file."))
    with pytest.raises(CommandError, match=r"^There is no such file\.$"):
        check(session, job)
    hub(UnreachableError("The hub could not be asked."))
    check(session, job)


def test_an_object_that_is_not_there_is_refused(account: Account, hub: HubAnswers) -> None:
    assert hub() == []
    account.deploy()
    job = Job(model=f"s3://{account.bucket}/models/own.safetensors")
    with pytest.raises(CommandError, match=rf"^There is no object {job.model}\. Upload it"):
        check(account.session, job)
    account.put("models/own.safetensors", b"weights")
    check(account.session, job)


@pytest.mark.parametrize(("code", "passes"), [("403", True), ("400", False)])
def test_only_the_instance_s_role_knows_what_it_may_read(
    session: boto3.Session, monkeypatch: pytest.MonkeyPatch, code: str, passes: bool
) -> None:
    s3 = session.client("s3")
    monkeypatch.setattr(session, "client", lambda *_, **__: s3)
    with Stubber(s3) as stubber:
        stubber.add_client_error("head_object", service_error_code=code)
        if passes:
            check(session, Job(model="s3://other-bucket/own.safetensors"))
        else:
            with pytest.raises(CommandError, match="Could not look for s3://other-bucket/own.safetensors"):
                check(session, Job(model="s3://other-bucket/own.safetensors"))
