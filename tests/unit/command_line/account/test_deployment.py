"""CloudFormation answers `?` for each character beyond ASCII: the run must be found all the same."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from scripts.command_line.account.deployment import Deployment, need_deployment
from scripts.command_line.account.instance import deployed_run_id
from scripts.command_line.account.plan import make_plan
from scripts.command_line.account.user_data import parameters_in
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.conftest import Account, answer, refusal, run_of, user_data

BEAR = "ein Bär im Wald 熊 🐻"
TOLD = {"Prompt": BEAR, "NegativePrompt": "Nebel? über 山"}


def deployed(account: Account, **parameters: str) -> Deployment:
    account.deploy(**parameters)
    return need_deployment(account.session, "SdOnEc2")


@pytest.mark.parametrize("parameters", [TOLD, {"Prompt": "is it a bear?"}, {"Prompt": "🐻?"}, {"Prompt": "a \x1b[1m"}])
def test_what_the_instance_was_given_names_the_run(account: Account, parameters: dict[str, str]) -> None:
    deployment = deployed(account, **parameters)
    assert deployment.parameters | parameters == deployment.parameters
    assert deployed_run_id(deployment) == run_of(**parameters)
    assert make_plan(deployment, {"Seed": "7"}, {}).run_id == run_of(**parameters, Seed=7)


def test_a_prompt_in_ascii_asks_nothing_of_the_instance(account: Account) -> None:
    account.session.events.register_first("before-call.ec2.DescribeInstanceAttribute", refusal("No"))
    assert deployed(account, Prompt="a horse").untold == {}


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "InvalidInstanceID.NotFound"])
def test_an_instance_that_cannot_be_asked_leaves_a_sentence_and_a_way_on(account: Account, code: str) -> None:
    account.session.events.register_first("before-call.ec2.DescribeInstanceAttribute", refusal(code))
    deployment = deployed(account, Prompt=BEAR)
    sentence = f"Prompt is 'ein B.r im Wald . .' by CloudFormation.*cannot be told .Could not read.*{code}.*`sd deploy`"
    with pytest.raises(CommandError, match=sentence):
        deployed_run_id(deployment)
    with pytest.raises(CommandError, match=sentence):
        _ = make_plan(deployment, {"Seed": "7"}, {}).run_id
    assert make_plan(deployment, {"Prompt": BEAR}, {}).run_id == run_of(Prompt=BEAR)


def test_a_terminated_instance_s_words_are_those_of_its_launch_template(account: Account) -> None:
    """A spot instance is gone after each run, and its prompt must not be typed again for the next deploy."""
    texts = {"FleetGroupLaunchTemplate": user_data(Prompt="a horse"), "GpuLaunchTemplate": user_data(Prompt=BEAR)}
    templates = [
        {"PhysicalResourceId": name, "LogicalResourceId": name, "ResourceType": "AWS::EC2::LaunchTemplate"}
        for name in texts
    ]

    def of_template(params: dict[str, Any], **_: Any) -> Any:
        (text,) = [text for name, text in texts.items() if name in str(params)]
        data = {"UserData": base64.b64encode(text.encode()).decode()}
        return answer({"LaunchTemplateVersions": [{"LaunchTemplateData": data}]})()

    for operation, told in (
        ("ec2.DescribeInstanceAttribute", refusal("InvalidInstanceID.NotFound")),
        ("cloudformation.DescribeStackResources", answer({"StackResources": templates})),
        ("ec2.DescribeLaunchTemplateVersions", of_template),
    ):
        account.session.events.register_first(f"before-call.{operation}", told)
    assert deployed_run_id(deployed(account, Prompt=BEAR)) == run_of(Prompt=BEAR)


def test_an_instance_that_was_given_another_prompt_is_not_believed(account: Account) -> None:
    """An update has changed the parameter, and failed before the instance, or has not come so far."""
    launched = account.ec2.run_instances(
        ImageId="ami-12c6146b", MinCount=1, MaxCount=1, UserData=user_data(Prompt="a horse")
    )
    account.instance_id = launched["Instances"][0]["InstanceId"]
    with pytest.raises(CommandError, match=f"the instance {account.instance_id} was given another"):
        deployed_run_id(deployed(account, Prompt=BEAR))


def test_the_user_data_of_a_stack_of_an_earlier_commit_is_read_too() -> None:
    lines = "".join(f"{name}={base64.b64encode(value.encode()).decode()}\n" for name, value in TOLD.items())
    script = f"#!/bin/bash\nkey='bundle.zip'\nparameters='\n{lines}InitImage=\n'\nstate=\n"
    assert parameters_in(base64.b64encode(script.encode()).decode()) == {**TOLD, "InitImage": ""}


@pytest.mark.parametrize("text", ["", "#!/bin/bash\n", "parameters='\nPrompt=?\n'\n"])
def test_other_user_data_has_no_parameters(text: str) -> None:
    assert parameters_in(base64.b64encode(text.encode()).decode()) == {}
