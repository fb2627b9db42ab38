"""Before `cdk deploy` runs, everything that can be known is checked: a refusal must leave the account untouched."""

from __future__ import annotations

import hashlib
import io
import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer
from moto.backends import get_backend
from PIL import Image
from rich.console import Console

from scripts.command_line.account import others
from scripts.command_line.account.deployment import need_deployment
from scripts.command_line.account.instance import kept_on_the_card
from scripts.command_line.account.zones import choose_zone
from scripts.command_line.deploying.deploy import Cdk, deploy
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.conftest import REGION, Account, offer, run_of
from tests.unit.job.image_files import encoded
from userdata.contract.layout import RunKeys
from userdata.contract.status import Status


class Deploys:
    """Takes the place of the CDK CLI, and keeps what it was called with. A new instance takes the place of one."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.calls: list[tuple[dict[str, str], dict[str, str]]] = []

    def __call__(self, session: object, parameters: Mapping[str, str], context: Mapping[str, str]) -> None:
        self.calls.append((dict(parameters), dict(context)))
        if "Replaces" in parameters:
            self._account.replace_instance()
        self._account.change(parameters)


@pytest.fixture
def deploys(account: Account) -> Deploys:
    return Deploys(account)


def run(
    account: Account,
    cdk: Cdk,
    given: dict[str, str] | None = None,
    context: tuple[str, ...] = (),
    console: Console | None = None,
    *,
    yes: bool = True,
) -> None:
    console = console or Console(quiet=True)
    deploy(
        account.session, stack="SdOnEc2", given=given or {}, context=context, fetch_to=None, console=console, cdk=cdk,
        yes=yes,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["Prompt", "NegativePrompt"])
def test_a_control_character_is_refused_because_no_answer_about_the_stack_could_hold_it(
    account: Account, deploys: Deploys, name: str
) -> None:
    with pytest.raises(CommandError, match=f"{name} has control characters.*Leave them out"):
        run(account, deploys, {name: "a horse \x1b[31m"})
    assert deploys.calls == []


def test_a_folder_that_takes_no_images_is_refused_before_anything_is_made(
    account: Account, deploys: Deploys, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match=r"Not a directory\. Nothing was begun\."):
        deploy(
            account.session, stack="SdOnEc2", given={}, context=(), fetch_to=tmp_path / "file" / "results",
            console=Console(quiet=True), cdk=deploys,
        )  # fmt: skip
    assert deploys.calls == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Model", "unknown"), ("Steps", "0"), ("Height", "63"), ("Strength", "1.5"), ("SshCidr", "home"),
        ("Prompt", " "), ("InitImage", "missing.png"), ("InstanceType", "p5.48xlarge"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_name_value_rule_and_example(
    account: Account, deploys: Deploys, name: str, value: str
) -> None:
    offer(account.session, "g5.xlarge", "g4dn.xlarge")
    account.deploy()
    with pytest.raises(CommandError) as refusal:
        run(account, deploys, {name: value})
    message = str(refusal.value)
    assert f"{name} is {value!r}, but must be" in message
    assert "for example" in message or "one of" in message
    assert deploys.calls == []


def test_a_sampler_has_our_name_in_the_stack_and_words_that_are_not_read_are_told(
    account: Account, deploys: Deploys
) -> None:
    offer(account.session, "g6.xlarge")
    account.deploy()
    said = io.StringIO()
    prompt = "a [cat|dog] AND (tree:1.2)"
    given = {"Sampler": "Euler a", "Prompt": prompt}
    run(account, deploys, given, console=Console(file=said, width=500))
    ((parameters, _),) = deploys.calls
    assert (parameters["Sampler"], parameters["Prompt"]) == ("euler_a", prompt)
    assert "Prompt has [cat|dog], AND: other programs would compose, choose or replace" in said.getvalue()


def test_a_deploy_and_the_status_say_in_which_type_weights_are_kept_and_why(account: Account, deploys: Deploys) -> None:
    offer(account.session, "g6.xlarge")
    account.deploy()
    said = io.StringIO()
    run(account, deploys, {"Model": "flux2-klein", "Quantize": "nf4"}, console=Console(file=said, width=500))
    assert (
        "FLUX.2 [klein] 4B are kept in nf4 as Quantize says, which wants 10.4 GiB of the L4's 21.9." in said.getvalue()
    )
    (again,) = kept_on_the_card(need_deployment(account.session, "SdOnEc2"))
    assert again in said.getvalue()
    run(account, deploys, {"Model": "flux2-klein", "Quantize": "auto"}, console=Console(file=said, width=500))
    assert kept_on_the_card(need_deployment(account.session, "SdOnEc2")) == []


def test_a_region_without_the_type_is_refused_with_what_it_offers(account: Account) -> None:
    offer(account.session, "g4dn.xlarge")
    with pytest.raises(CommandError) as refusal:
        choose_zone(account.session, "g5.xlarge")
    assert "InstanceType is 'g5.xlarge', but must be a type that us-east-1 offers" in str(refusal.value)
    assert "offers (g4dn.xlarge), for example --instance-type g4dn.xlarge." in str(refusal.value)


@pytest.mark.parametrize(
    ("offering", "chosen"), [(("us-east-1a", "us-east-1d"), None), (("us-east-1d",), "us-east-1d")]
)
def test_a_zone_is_named_only_where_the_first_does_not_offer_the_type(
    account: Account, offering: tuple[str, ...], chosen: str | None
) -> None:
    offer(account.session, "g5.xlarge", zones=offering)
    assert choose_zone(account.session, "g5.xlarge") == chosen


@pytest.mark.parametrize(("kept", "chosen"), [(("us-east-1b", "us-east-1c"), "us-east-1a"), (("us-east-1a",), None)])
def test_cloudformation_s_first_zone_is_the_first_with_a_default_subnet(
    account: Account, kept: tuple[str, ...], chosen: str | None
) -> None:
    for subnet in account.ec2.describe_subnets()["Subnets"]:
        if subnet["AvailabilityZone"] not in kept:
            account.ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    offer(account.session, "g5.xlarge", zones=("us-east-1a", "us-east-1d"))
    assert choose_zone(account.session, "g5.xlarge") == chosen


def test_without_default_subnets_cloudformation_names_every_zone(account: Account) -> None:
    for subnet in account.ec2.describe_subnets()["Subnets"]:
        account.ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    offer(account.session, "g5.xlarge", zones=("us-east-1a", "us-east-1d"))
    assert choose_zone(account.session, "g5.xlarge") is None


def test_only_what_was_given_is_passed_on(account: Account, deploys: Deploys) -> None:
    account.deploy(Prompt="a horse", Steps="20")
    run(account, deploys, {"Prompt": "a tree"}, context=("keep_results=false",))
    assert deploys.calls == [({"Prompt": "a tree"}, {"keep_results": "false"})]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("max-price=0.4", "-c max-price: there is no such setting. Did you mean max_price?"),
        ("outputbucket=mine", "-c outputbucket: there is no such setting. Did you mean output_bucket?"),
        ("colour=red", "-c colour: there is no such setting. The settings are stack, keep_results, output_bucket, "),
    ],
)
def test_an_unknown_setting_is_refused_before_anything_is_done(
    account: Account, deploys: Deploys, setting: str, said: str
) -> None:
    with pytest.raises(CommandError) as refusal:
        run(account, deploys, context=("spot=true", setting))
    assert str(refusal.value).startswith(said)
    assert refusal.value.exit_status == 2
    assert deploys.calls == []


@pytest.mark.parametrize(
    ("stack", "context"), [("Other", ()), ("SdOnEc2", ("stack=Other",)), ("Other", ("stack=Other",))]
)
def test_the_stack_that_is_named_is_the_one_that_is_deployed(
    account: Account, deploys: Deploys, stack: str, context: tuple[str, ...]
) -> None:
    """By whichever name: else the CDK would change a stack that is not meant."""
    account.deploy(Prompt="a standing stack's")
    with pytest.raises(CommandError, match="There is no stack Other"):
        deploy(
            account.session, stack=stack, given={"Prompt": "a tree"}, context=context, fetch_to=None,
            console=Console(quiet=True), cdk=deploys,
        )  # fmt: skip
    assert deploys.calls == [({"Prompt": "a tree"}, {"stack": "Other"})]


def test_two_names_for_the_stack_are_refused(account: Account, deploys: Deploys) -> None:
    with pytest.raises(CommandError, match="--stack is One, but -c stack is Other. Leave one out."):
        deploy(
            account.session, stack="One", given={}, context=("stack=Other",), fetch_to=None,
            console=Console(quiet=True), cdk=deploys,
        )  # fmt: skip
    assert deploys.calls == []


def test_context_of_the_cdk_is_passed_on(account: Account, deploys: Deploys) -> None:
    account.deploy()
    run(account, deploys, context=("@aws-cdk/core:enableStackNameDuplicates=true", "aws:cdk:version-reporting=false"))
    context = {"@aws-cdk/core:enableStackNameDuplicates": "true", "aws:cdk:version-reporting": "false"}
    assert deploys.calls == [({}, context)]


def test_what_is_given_is_checked_together_with_what_is_deployed(account: Account, deploys: Deploys) -> None:
    account.deploy(InitImage="inputs/horse.png", Strength="0.01")
    account.put("inputs/horse.png", encoded(Image.new("RGB", (64, 64)), "PNG"))
    with pytest.raises(CommandError, match="leave no step to do"):
        run(account, deploys, {"Steps": "50"})
    assert deploys.calls == []


def test_an_image_of_this_machine_is_uploaded(account: Account, deploys: Deploys, tmp_path: Path) -> None:
    account.deploy()
    Image.new("RGB", (64, 64), "red").save(tmp_path / "horse.png")
    run(account, deploys, {"InitImage": str(tmp_path / "horse.png")})
    content = (tmp_path / "horse.png").read_bytes()
    key = f"inputs/horse-{hashlib.sha256(content).hexdigest()[:8]}.png"
    assert deploys.calls[0][0] == {"InitImage": key}
    assert account.s3.get_object(Bucket=account.bucket, Key=key)["Body"].read() == content


def test_another_image_of_the_same_name_does_not_overwrite_the_first(
    account: Account, deploys: Deploys, tmp_path: Path
) -> None:
    account.deploy()
    for colour in ("red", "blue"):
        Image.new("RGB", (64, 64), colour).save(tmp_path / "horse.png")
        run(account, deploys, {"InitImage": str(tmp_path / "horse.png")})
    first, second = (call[0]["InitImage"] for call in deploys.calls)
    assert first != second
    assert len(account.s3.list_objects_v2(Bucket=account.bucket)["Contents"]) == 2


def test_an_image_too_large_for_its_own_size_is_refused_unless_one_is_given(
    account: Account, deploys: Deploys, tmp_path: Path
) -> None:
    account.deploy()
    Image.new("RGB", (2112, 64)).save(tmp_path / "wide.png")
    with pytest.raises(CommandError, match="has 2112 × 64 pixels"):
        run(account, deploys, {"InitImage": str(tmp_path / "wide.png")})
    assert deploys.calls == []
    run(account, deploys, {"InitImage": str(tmp_path / "wide.png"), "Height": "64"})
    assert deploys.calls[0][0]["Height"] == "64"


def test_a_prompt_file_of_this_machine_is_uploaded(account: Account, deploys: Deploys, tmp_path: Path) -> None:
    account.deploy()
    (tmp_path / "my prompts!.txt").write_text("a horse\na tree --seed 7\n")
    said = io.StringIO()
    prompts = {"PromptFile": str(tmp_path / "my prompts!.txt"), "Prompt": "not drawn: a AND b"}
    run(account, deploys, prompts, console=Console(file=said, width=500))
    assert "other programs" not in said.getvalue()
    key = deploys.calls[0][0]["PromptFile"]
    assert re.fullmatch(r"inputs/my-prompts-[0-9a-f]{8}\.txt", key)
    assert account.s3.get_object(Bucket=account.bucket, Key=key)["Body"].read() == b"a horse\na tree --seed 7\n"


def test_a_prompt_file_with_a_broken_option_is_refused_before_it_is_uploaded(
    account: Account, deploys: Deploys, tmp_path: Path
) -> None:
    account.deploy()
    (tmp_path / "prompts.txt").write_text("a horse\n\na tree --steps many\n")
    with pytest.raises(CommandError, match=r"Line 3: --steps is 'many', but must be a whole number") as refusal:
        run(account, deploys, {"PromptFile": str(tmp_path / "prompts.txt")})
    assert refusal.value.exit_status == 2
    assert "Contents" not in account.s3.list_objects_v2(Bucket=account.bucket)
    assert deploys.calls == []


def test_a_rounded_size_is_told(account: Account, deploys: Deploys) -> None:
    account.deploy()
    console = Console(file=io.StringIO(), width=200)
    run(account, deploys, {"Height": "513"}, console=console)
    assert "Height 513 is rounded down to 512" in console.file.getvalue()  # type: ignore[attr-defined]
    assert deploys.calls[0][0] == {"Height": "513"}


def test_a_file_that_is_no_image_is_refused_before_it_is_uploaded(
    account: Account, deploys: Deploys, tmp_path: Path
) -> None:
    account.deploy()
    (tmp_path / "horse.png").write_text("<html>")
    with pytest.raises(CommandError, match="cannot be read as one"):
        run(account, deploys, {"InitImage": str(tmp_path / "horse.png")})
    assert "Contents" not in account.s3.list_objects_v2(Bucket=account.bucket)


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"Strength": "0.01", "Steps": "50"}, "leave no step to do"),
        ({"Model": "s3://no-such-bucket/own.safetensors"}, "model: .*There is no object s3://no-such-bucket"),
        ({"InstanceType": "p5.4xlarge"}, "quota: .*this deploy takes 16.*To mend it: sd quota request"),
    ],
    ids=["a rule", "the model", "the account"],
)
def test_a_refusal_comes_before_any_upload(
    account: Account, deploys: Deploys, tmp_path: Path, given: dict[str, str], refusal: str
) -> None:
    account.deploy()
    Image.new("RGB", (64, 64), "red").save(tmp_path / "horse.png")
    with pytest.raises(CommandError, match=refusal):
        run(account, deploys, {"InitImage": str(tmp_path / "horse.png"), **given})
    assert "Contents" not in account.s3.list_objects_v2(Bucket=account.bucket)
    assert deploys.calls == []


def test_a_stopped_instance_is_started_after_the_deploy(account: Account, deploys: Deploys) -> None:
    account.deploy()
    account.ec2.stop_instances(InstanceIds=[account.instance_id])
    run(account, deploys)
    assert account.state() == "running"


@pytest.mark.parametrize("given", [{"Prompt": "a tree"}, {}], ids=["another job", "the same job, which is not done"])
def test_an_instance_that_is_gone_is_replaced(account: Account, deploys: Deploys, given: dict[str, str]) -> None:
    account.deploy()
    gone = account.instance_id
    account.ec2.terminate_instances(InstanceIds=[gone])
    run(account, deploys, given)
    assert deploys.calls[0][0] == {**given, "Replaces": gone}


def test_nothing_is_replaced_where_nothing_is_to_be_done(account: Account, deploys: Deploys) -> None:
    """A run that waits in the queue is to be done."""
    sqs = account.session.client("sqs")
    account.outputs["InteractiveQueue"] = sqs.create_queue(QueueName="sd-1-interactive")["QueueUrl"]
    account.deploy()
    account.put_run(run_of(), phase="done")
    account.ec2.terminate_instances(InstanceIds=[account.instance_id])
    given = {"SshCidr": "203.0.113.7/32", "AcceptLicence": "sdxl-turbo"}
    run(account, deploys, given)
    assert deploys.calls[0][0] == given
    sqs.send_message(QueueUrl=account.outputs["InteractiveQueue"], MessageBody="a run")
    gone = account.instance_id
    run(account, deploys)
    assert deploys.calls[1][0] == {"Replaces": gone}


def test_an_instance_that_is_there_is_not_replaced(account: Account, deploys: Deploys) -> None:
    account.deploy()
    run(account, deploys, {"Prompt": "a tree"})
    assert deploys.calls[0][0] == {"Prompt": "a tree"}


def test_settings_stay_until_others_are_given(account: Account, deploys: Deploys) -> None:
    account.deploy(settings='{"spot": "true", "max_price": "0.45", "az": "us-east-1b"}')
    run(account, deploys)
    run(account, deploys, context=("spot=false", "max_price="))
    assert [context for _, context in deploys.calls] == [
        {"spot": "true", "max_price": "0.45", "az": "us-east-1b"},
        {"spot": "false", "max_price": "", "az": "us-east-1b"},
    ]


@pytest.mark.parametrize("phase", [None, "generating"])
def test_a_run_in_progress_is_not_cut_off_without_a_yes(
    account: Account, deploys: Deploys, monkeypatch: pytest.MonkeyPatch, phase: str | None
) -> None:
    account.deploy(Prompt="a cow")
    other = run_of(Prompt="a cow")
    if phase:
        account.put_run(other, phase=phase, images=3)
    asked = []
    monkeypatch.setattr(typer, "confirm", lambda question, err: asked.append(question))
    with pytest.raises(CommandError, match="Nothing was deployed: SdOnEc2 is as it was"):
        run(account, deploys, {"Prompt": "a tree"}, yes=False)
    assert deploys.calls == []
    how_far = "generating, 3 of 3 images" if phase else "its instance boots"
    assert f"This cuts off run {other}, which is not done ({how_far}), on {account.instance_id}." in asked[0]
    console = Console(file=io.StringIO(), width=1000)
    run(account, deploys, {"Prompt": "a tree"}, console=console)
    assert f"This cuts off run {other}" in console.file.getvalue()  # type: ignore[attr-defined]
    assert len(asked) == len(deploys.calls) == 1


def test_a_run_that_came_by_the_queue_is_not_cut_off_without_a_yes_either(account: Account, deploys: Deploys) -> None:
    account.deploy(Prompt="a cow")
    account.put_run(run_of(Prompt="a cow"), phase="done")
    keys, queued = RunKeys("a-bee-0123456789"), Status("a-bee-0123456789", account.instance_id, "generating", 1, 3)
    account.put(keys.status, queued.to_json().encode())
    with pytest.raises(CommandError, match="got no answer"):
        run(account, deploys, {"Prompt": "a tree"}, yes=False)
    assert deploys.calls == []
    console = Console(file=io.StringIO(), width=1000)
    run(account, deploys, {"Prompt": "a tree"}, console=console)
    assert "Its message goes back into the queue" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_question_that_nobody_can_answer_deploys_nothing(account: Account, deploys: Deploys) -> None:
    account.deploy()  # pytest's standard input cannot be read
    with pytest.raises(CommandError, match="got no answer. To go on without a question: --yes") as refusal:
        run(account, deploys, {"Prompt": "a tree"}, yes=False)
    assert (refusal.value.exit_status, deploys.calls) == (2, [])


@pytest.mark.parametrize("begun", [True, False])
def test_a_run_that_was_stopped_half_way_is_not_exchanged_without_a_yes(
    account: Account, deploys: Deploys, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    """It may be another person's, whose `sd start` would then start this one's run."""
    account.deploy(Prompt="a cow")
    if begun:
        account.put_run(run_of(Prompt="a cow"), phase="generating", images=3)
    account.ec2.stop_instances(InstanceIds=[account.instance_id])
    asked = []
    monkeypatch.setattr(typer, "confirm", lambda question, err: asked.append(question))
    with pytest.raises(CommandError, match="Nothing was deployed"):
        run(account, deploys, {"Prompt": "a tree"}, yes=False)
    assert deploys.calls == []
    how_far = "generating, 3 of 3 images" if begun else "not begun"
    assert f"This takes the place of run {run_of(Prompt='a cow')}, which is not done ({how_far})" in asked[0]


@pytest.mark.parametrize("case", ["done", "failed", "capped", "the same run"])
def test_a_plain_deploy_that_cuts_nothing_off_asks_nothing(account: Account, deploys: Deploys, case: str) -> None:
    account.deploy(Prompt="a cow")
    account.put_run(run_of(Prompt="a cow"), phase=case if case in ("done", "failed", "capped") else "generating")
    run(account, deploys, {"Prompt": "a cow" if case == "the same run" else "a tree"}, yes=False)
    assert len(deploys.calls) == 1


@pytest.mark.parametrize("state", ["running", "stopped"])
@pytest.mark.parametrize(("given", "context"), [({}, ("az=us-east-1c",)), ({"VolumeSize": "300"}, ())])
def test_an_instance_that_stands_is_not_replaced_without_a_yes(
    account: Account, deploys: Deploys, given: dict[str, str], context: tuple[str, ...], state: str
) -> None:
    account.deploy()
    account.put_run(run_of(), phase="done")
    if state == "stopped":
        account.ec2.stop_instances(InstanceIds=[account.instance_id])
    with pytest.raises(CommandError, match="got no answer"):
        run(account, deploys, given, context, yes=False)
    assert deploys.calls == []


def test_two_deploys_at_once_never_take_each_other_s_images(account: Account, tmp_path: Path) -> None:
    """Another command deploys between this one's look and its `cdk`, or while its `cdk` works."""
    account.deploy(Prompt="a cow")
    account.put_run(run_of(Prompt="a cow"), phase="done")

    def other_goes_first(*_: object) -> None:
        account.change({"Prompt": "a dog"})

    with pytest.raises(CommandError) as told:
        run(account, other_goes_first, {"Prompt": "a tree"})
    mine, other = run_of(Prompt="a tree"), run_of(Prompt="a dog")
    assert f"SdOnEc2 now holds run {other}, not {mine}" in str(told.value)

    def other_makes_it_fail(*_: object) -> None:
        account.change({"Prompt": "a cat"})
        raise CommandError("`cdk deploy` failed")

    account.put_run(other, phase="done")
    with pytest.raises(CommandError, match="failed\nAnother command has deployed run a-cat-.* at the same time"):
        run(account, other_makes_it_fail, {"Prompt": "a tree"})

    deploys = Deploys(account)
    account.change({"Prompt": "a dog"})
    Image.new("RGB", (64, 64), "red").save(tmp_path / "horse.png")
    account.put_run(other, phase="done")
    account.session.events.register_first("before-call.s3.PutObject", lambda **_: account.change({"Prompt": "a bee"}))
    with pytest.raises(CommandError, match="Nothing was deployed, because another command has just deployed run a-bee"):
        run(account, deploys, {"Prompt": "a tree", "InitImage": str(tmp_path / "horse.png")}, yes=False)
    assert deploys.calls == []


def test_a_stack_that_another_command_changes_is_waited_for(
    account: Account, deploys: Deploys, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.deploy()
    account.put_run(run_of(), phase="done")
    (stack,) = get_backend("cloudformation")["123456789012"][REGION].stacks.values()
    stack.status = "UPDATE_IN_PROGRESS"
    monkeypatch.setattr(others, "POLL_SECONDS", 0)
    monkeypatch.setattr(time, "sleep", lambda _: setattr(stack, "status", "UPDATE_COMPLETE"))
    console = Console(file=io.StringIO(), width=1000)
    run(account, deploys, console=console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "SdOnEc2 is UPDATE_IN_PROGRESS, by another command: waiting for its end." in said
    assert len(deploys.calls) == 1


def test_a_cdk_that_fails_while_the_stack_changes_says_that_a_deploy_goes_on(account: Account) -> None:
    account.deploy()
    (stack,) = get_backend("cloudformation")["123456789012"][REGION].stacks.values()

    def fails(*_: object) -> None:
        stack.status = "UPDATE_IN_PROGRESS"
        raise CommandError("`cdk deploy` failed")

    with pytest.raises(CommandError, match="failed\nSdOnEc2 is UPDATE_IN_PROGRESS: a deploy goes on in AWS"):
        run(account, fails)
