"""What a deploy needs is looked at before it costs anything, and each problem says how to mend it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from rich.console import Console
from typer.testing import CliRunner

from scripts.command_line.account.deployment import find_standing, need_deployment
from scripts.command_line.account.plan import make_plan
from scripts.command_line.before import doctor
from scripts.command_line.before.account_checks import (
    QUALIFIER,
    bootstrap_parameter,
    check_bootstrap,
    check_spot_capacity,
    check_zones,
)
from scripts.command_line.before.bucket_checks import check_bucket
from scripts.command_line.before.check import Check, State
from scripts.command_line.before.doctor import CHECKS, NEEDED, examine, refuse_what_blocks, show_checks
from scripts.command_line.before.price_checks import check_max_price, check_price, check_spend
from scripts.command_line.before_commands import _plan
from scripts.command_line.cost.estimate import boot_usd
from scripts.command_line.main import app
from scripts.command_line.terminal.command_error import CommandError
from scripts.local.aws.spot_prices import spot_prices_of_the_table
from tests.unit.command_line.conftest import Account, answer, offer, refusal
from userdata.bill.prices import read_prices


def state(check: Check) -> tuple[str, bool]:
    return check.state, check.blocks


def test_a_good_account_can_deploy(session: boto3.Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plugin = tmp_path / "session-manager-plugin"
    plugin.write_text("#!/bin/sh\n")
    plugin.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = examine(session, make_plan(None, {}, {}))
    assert [check.name for check in checks] == list(CHECKS)
    assert [check for check in checks if check.state != "ok"] == []
    refuse_what_blocks(session, make_plan(None, {}, {}))


def test_without_the_plugin_a_deploy_is_not_held_up(session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    [check] = examine(session, make_plan(None, {}, {}), ["Session Manager plugin"])[1:]
    assert (state(check), check.mend[:10]) == (("ok", False), "install it")
    assert "session-manager-plugin" not in NEEDED


def test_without_credentials_nothing_else_is_asked(session: boto3.Session) -> None:
    def nobody(**_: object) -> None:
        raise NoCredentialsError

    session.events.register_first("before-call", nobody)
    checks = examine(session, make_plan(None, {}, {}))
    assert {check.state for check in checks[1:]} == {"unknown"}
    with pytest.raises(
        CommandError, match="^Nothing was deployed.\ncredentials: .*no AWS credentials were found.*`aws configure`"
    ):
        refuse_what_blocks(session, make_plan(None, {}, {}))


def test_what_may_not_be_asked_is_unknown_and_holds_nothing_up(session: boto3.Session) -> None:
    session.events.register_first("before-call.service-quotas", refusal("AccessDenied"))
    plan = make_plan(None, {}, {})
    [check] = examine(session, plan, ["quota"])[1:]
    assert state(check) == ("unknown", False)
    assert "AccessDenied" in check.found
    refuse_what_blocks(session, plan)


def test_the_free_plan_is_told_before_anybody_waits_for_a_quota(session: boto3.Session) -> None:
    session.events.register_first("before-call.freetier", answer({"accountPlanType": "FREE"}))
    plan = make_plan(None, {}, {})
    [check] = examine(session, plan, ["account plan"])[1:]
    assert state(check) == ("problem", True)
    assert check.mend == "upgrade to a paid plan: AWS console, Billing and Cost Management, Account"
    assert list(CHECKS).index("account plan") < list(CHECKS).index("quota")
    with pytest.raises(CommandError, match=r"account plan: the Free Plan, .* To mend it: upgrade to a paid plan"):
        refuse_what_blocks(session, plan)


def test_a_plan_that_may_not_be_asked_for_holds_nothing_up(session: boto3.Session) -> None:
    session.events.register_first("before-call.freetier", refusal("AccessDeniedException"))
    [check] = examine(session, make_plan(None, {}, {}), ["account plan"])[1:]
    assert state(check) == ("unknown", False)
    refuse_what_blocks(session, make_plan(None, {}, {}))


def test_an_account_without_a_plan_is_not_on_the_free_plan(session: boto3.Session) -> None:
    session.events.register_first("before-call.freetier", refusal("ResourceNotFoundException"))
    [check] = examine(session, make_plan(None, {}, {}), ["account plan"])[1:]
    assert state(check) == ("ok", False)


@pytest.mark.parametrize("version", [None, "5", "6", "33"])
def test_the_bootstrap_stack_must_be_there_and_new_enough(session: boto3.Session, version: str | None) -> None:
    ssm = session.client("ssm")
    ssm.delete_parameter(Name=bootstrap_parameter())
    if version:
        ssm.put_parameter(Name=bootstrap_parameter(), Value=version, Type="String")
    good = version in ("6", "33")
    check = check_bootstrap(session, make_plan(None, {}, {}))
    assert state(check) == (("ok", False) if good else ("problem", True))
    assert check.mend == ("" if good else "cdk bootstrap aws://123456789012/us-east-1")


def test_a_bootstrap_stack_of_another_qualifier_is_found_and_its_mend_names_it(session: boto3.Session) -> None:
    session.client("ssm").delete_parameter(Name=bootstrap_parameter())
    plan = make_plan(None, {}, {QUALIFIER: "mine"})
    check = check_bootstrap(session, plan)
    assert (state(check), check.mend) == (
        ("problem", True),
        "cdk bootstrap aws://123456789012/us-east-1 --qualifier mine --toolkit-stack-name CDKToolkit-mine",
    )
    session.client("ssm").put_parameter(Name="/cdk-bootstrap/mine/version", Value="33", Type="String")
    assert state(check_bootstrap(session, plan)) == ("ok", False)
    assert state(check_bootstrap(session, make_plan(None, {}, {}))) == ("problem", True)


def test_a_zone_must_offer_the_type(session: boto3.Session) -> None:
    given = {"InstanceType": "g6e.xlarge"}
    assert state(check_zones(session, make_plan(None, given, {"az": "us-east-1a"}))) == ("ok", False)
    check = check_zones(session, make_plan(None, given, {"az": "us-east-1f"}))
    assert state(check) == ("problem", True)
    assert "us-east-1a, us-east-1b, us-east-1c, us-east-1d" in check.found
    assert check.mend == "-c az=us-east-1a"


@pytest.mark.parametrize(("zones", "found"), [("3", "ok"), ("2", "problem"), ("us-east-1b", "problem")])
def test_a_network_of_an_earlier_release_that_cannot_be_updated_is_told(
    session: boto3.Session, account: Account, zones: str, found: str
) -> None:
    account.deploy()
    deployment = need_deployment(session, "SdOnEc2")
    deployment = dataclasses.replace(deployment, outputs={**deployment.outputs, "Zones": zones})
    check = check_zones(session, make_plan(deployment, {}, {}))
    assert (check.state, check.blocks) == (found, found == "problem")
    assert found == "ok" or f"-c output_bucket={account.bucket}" in check.mend
    deployment = dataclasses.replace(
        deployment, outputs={**deployment.outputs, "Settings": '{"keep_results": "false"}'}
    )
    check = check_zones(session, make_plan(deployment, {}, {}))
    assert found == "ok" or check.mend.startswith("`sd results`, because the bucket goes with the stack")
    assert "output_bucket" not in check.mend


def test_spot_placement_scores_are_shown_where_they_may_be_asked_for(session: boto3.Session) -> None:
    spot = make_plan(None, {}, {"spot": "true"})
    assert "us-east-1a 2, us-east-1b 2" in check_spot_capacity(session, spot).found
    assert check_spot_capacity(session, make_plan(None, {}, {})).found == "not asked for: on demand"
    session.events.register_first("before-call.ec2.GetSpotPlacementScores", refusal("UnauthorizedOperation", 403))
    (_, check) = examine(session, spot, ["spot capacity"])
    assert check.state == "unknown"
    assert "ec2:GetSpotPlacementScores" in check.found


def test_a_region_without_the_type_names_others(session: boto3.Session) -> None:
    offer(session, "g4dn.xlarge")
    check = check_zones(session, make_plan(None, {}, {}))
    assert state(check) == ("problem", True)
    assert "for example --instance-type" in check.found


@pytest.mark.parametrize(
    ("context", "expected"),
    [({}, ("ok", False)), ({"output_bucket": "mine"}, ("ok", False)), ({"output_bucket": "free"}, ("problem", True))],
)
def test_the_bucket_is_yours_free_or_taken(
    session: boto3.Session, context: dict[str, str], expected: tuple[str, bool]
) -> None:
    session.client("s3").create_bucket(Bucket="mine")
    assert state(check_bucket(session, make_plan(None, {}, context))) == expected


def test_a_bucket_of_another_region_is_told_and_holds_nothing_up(account: Account) -> None:
    account.make_bucket("mine", region="eu-west-1")
    check = check_bucket(account.session, make_plan(None, {}, {"output_bucket": "mine"}))
    assert state(check) == ("problem", False)
    assert check.found.startswith("mine is in eu-west-1: each image crosses regions")
    assert check.mend == "--region eu-west-1, or a bucket in us-east-1"


@pytest.mark.parametrize("named", ["arn", "id", "alias"])
def test_a_bucket_with_a_key_of_its_own_needs_the_setting_that_lets_the_instance_use_it(
    account: Account, named: str
) -> None:
    kms = account.session.client("kms")
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/mine", TargetKeyId=key["KeyId"])
    account.make_bucket("mine")
    encryption: Any = {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": {"arn": key["Arn"], "id": key["KeyId"], "alias": "alias/mine"}[named],
    }
    rules: Any = {"Rules": [{"ApplyServerSideEncryptionByDefault": encryption}]}
    account.s3.put_bucket_encryption(Bucket="mine", ServerSideEncryptionConfiguration=rules)

    def check(**context: str) -> Check:
        return check_bucket(account.session, make_plan(None, {}, {"output_bucket": "mine", **context}))

    assert state(check()) == ("problem", True)
    assert check().mend.startswith(f"-c output_key={key['Arn']}; ")
    assert state(check(output_key=key["Arn"])) == ("ok", False)
    assert state(check(output_key=key["Arn"][:-1] + "z")) == ("problem", True)
    account.s3.delete_bucket_encryption(Bucket="mine")
    assert (state(check(output_key=key["Arn"])), state(check())) == (("problem", True), ("ok", False))


def test_a_bucket_with_a_key_of_aws_needs_no_right(account: Account) -> None:
    account.make_bucket("mine")
    plan = make_plan(None, {}, {"output_bucket": "mine"})
    rules: Any = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}
    account.s3.put_bucket_encryption(Bucket="mine", ServerSideEncryptionConfiguration=rules)
    assert state(check_bucket(account.session, plan)) == ("ok", False)
    rules["Rules"][0]["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] = "alias/aws/s3"
    account.s3.put_bucket_encryption(Bucket="mine", ServerSideEncryptionConfiguration=rules)
    described = {"KeyMetadata": {"KeyId": "1", "KeyManager": "AWS", "Arn": "arn:aws:kms:us-east-1:1:key/1"}}
    account.session.events.register_first("before-call.kms.DescribeKey", answer(described))
    assert state(check_bucket(account.session, plan)) == ("ok", False)


def test_a_first_deploy_needs_room_for_a_network(account: Account) -> None:
    for number in range(3):
        account.ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")
    plan = make_plan(None, {}, {})
    [check] = examine(account.session, plan, ["network"])[1:]
    assert (check.state, check.found) == ("ok", "4 of 5 VPCs in us-east-1; this deploy makes one")
    account.ec2.create_vpc(CidrBlock="10.9.0.0/16")
    with pytest.raises(CommandError, match=r"network: 5 of 5 VPCs in us-east-1; this deploy needs one more\. To mend"):
        refuse_what_blocks(account.session, plan)
    account.deploy()
    plan = make_plan(need_deployment(account.session, "SdOnEc2"), {}, {})
    assert state(examine(account.session, plan, ["network"])[1]) == ("ok", False)


def test_a_budget_where_cloudformation_makes_none_is_refused(account: Account) -> None:
    plan = make_plan(None, {}, {"budget": "10", "budget_email": "me@example.com"})
    assert state(check_spend(account.session, plan)) == ("ok", False)
    there = boto3.Session(region_name="eu-north-1")
    check = check_spend(there, plan)
    assert state(check) == ("problem", True)
    assert check.found == "-c budget=10: CloudFormation makes no budget in eu-north-1"
    assert "Billing console" in check.mend
    assert state(check_spend(there, make_plan(None, {}, {}))) == ("ok", False)


def test_a_bucket_of_somebody_else_is_refused(session: boto3.Session) -> None:
    session.events.register_first("before-call.s3.HeadBucket", refusal("403", 403))
    check = check_bucket(session, make_plan(None, {}, {"output_bucket": "taken"}))
    assert state(check) == ("problem", True)
    assert "somebody else's" in check.found


@pytest.mark.parametrize(("limit", "expected"), [("0.8048", ("ok", False)), ("0.81", ("problem", True))])
def test_a_spot_price_above_on_demand_is_refused(
    session: boto3.Session, limit: str, expected: tuple[str, bool]
) -> None:
    with spot_prices_of_the_table():
        check = check_price(session, make_plan(None, {}, {"spot": "true", "max_price": limit}))
    assert state(check) == expected
    if expected[1]:
        assert check.mend == "-c max_price=0.8048 or less, or leave it out"


def test_a_spot_price_that_cannot_be_had_is_refused_where_ec2_states_it(session: boto3.Session) -> None:
    """A price of the table may have fallen since, so that it alone refuses nothing."""
    for az, limit, expected in (
        ("us-east-1a", "0.2", ("problem", True)),
        ("us-east-1a", "0.8", ("ok", False)),
        ("us-east-1c", "0.3", ("problem", True)),
    ):
        plan = make_plan(None, {}, {"spot": "true", "max_price": limit, "az": az})
        with spot_prices_of_the_table():
            check = check_max_price(session, plan)
        assert state(check) == expected, az
        assert (
            expected[0] == "ok" or f"(EC2's spot price in {az}, today): EC2 launches no instance below" in check.found
        )
    session.events.register_first("before-call.ec2.DescribeSpotPriceHistory", refusal("UnauthorizedOperation", 403))
    of_the_table = check_max_price(session, make_plan(None, {}, {"spot": "true", "max_price": "0.2"}))
    assert state(of_the_table) == ("problem", False)
    assert state(check_max_price(session, make_plan(None, {}, {}))) == ("ok", False)


def test_a_spend_cap_below_the_price_of_one_boot_is_refused(session: boto3.Session) -> None:
    plan = make_plan(None, {}, {})
    table = read_prices()
    price = table.hourly("us-east-1", "g6.xlarge", "on-demand")
    assert price is not None
    boot = boot_usd(plan, price, table.rates_of("us-east-1"))
    assert 0.05 < boot < 0.3
    assert state(check_spend(session, plan)) == ("ok", False)
    below = check_spend(session, make_plan(None, {"MaxSpend": f"{boot:.6f}"[:-1]}, {}))
    assert state(below) == ("problem", True)
    assert f"about ${boot:.2f}" in below.found
    assert state(check_spend(session, make_plan(None, {"MaxSpend": f"{boot + 0.001:.6f}"}, {}))) == ("ok", False)


def test_a_spend_cap_of_a_spot_instance_holds_when_its_price_rises(session: boto3.Session) -> None:
    with spot_prices_of_the_table():
        checks = [
            check_spend(session, make_plan(None, {"MaxSpend": "0.055", **more}, {"spot": "true"}))
            for more in ({}, {"UsdPerHour": "0.45"})
        ]
    assert [check.state for check in checks] == ["problem", "ok"]


def test_a_spend_cap_without_any_price_is_refused(session: boto3.Session) -> None:
    plan = make_plan(None, {"MaxSpend": "5", "InstanceType": "p5e.48xlarge"}, {})
    assert state(check_spend(session, plan)) == ("problem", True)
    told = make_plan(None, {"MaxSpend": "5", "InstanceType": "p5e.48xlarge", "UsdPerHour": "1.5"}, {})
    assert state(check_spend(session, told)) == ("ok", False)


def test_more_hours_than_the_alarm_can_count_are_refused() -> None:
    with pytest.raises(CommandError, match="MaxHours is '25', but must be a whole number from 1 to 24"):
        make_plan(None, {"MaxHours": "25"}, {})


def test_a_setting_that_breaks_a_rule_is_misuse() -> None:
    with pytest.raises(CommandError, match="az=moon: it must be the name of the instance's zone") as refusal:
        make_plan(None, {}, {"az": "moon"})
    assert refusal.value.exit_status == 2


def run(*arguments: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(app, [*arguments, "--region", "us-east-1"])
    if outcome.exception and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return outcome.exit_code, outcome.stdout


def test_the_deployment_s_settings_count_as_they_do_for_a_deploy(account: Account) -> None:
    account.deploy(settings='{"spot": "true", "max_price": "99"}')
    _, printed = run("doctor", "--json")
    [price] = [check for check in json.loads(printed)["checks"] if check["name"] == "price"]
    assert (price["state"], price["mend"]) == ("problem", "-c max_price=0.8048 or less, or leave it out")


def test_the_exit_status_and_json_are_for_tools(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    status, printed = run("doctor", "--json")
    document = json.loads(printed)
    names = {check["name"]: check["state"] for check in document["checks"]}
    assert (document["schema"], list(names)) == (1, list(CHECKS))
    assert status == ("problem" in names.values())
    status, printed = run("doctor", "--json", "--instance-type", "p5.4xlarge")
    assert status == 1
    [quota] = [check for check in json.loads(printed)["checks"] if check["name"] == "quota"]
    assert (quota["state"], quota["blocks"]) == ("problem", True)


@pytest.mark.parametrize(("states", "status"), [(("ok", "unknown"), 0), (("ok", "unknown", "problem"), 1)])
def test_what_is_unknown_is_no_problem(
    session: boto3.Session, states: Sequence[State], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda *_: [Check("any", state, "found") for state in states])
    assert run("doctor")[0] == status


def test_the_way_to_mend_stands_below_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    show_checks([Check("quota", "problem", "0 vCPUs", "sd quota request")], Console(width=80))
    found, mend = capsys.readouterr().out.splitlines()
    assert found.split() == ["quota", "problem", "0", "vCPUs"]
    assert mend.strip() == "-> sd quota request"


@pytest.mark.parametrize(
    "words",
    [["g6e.xlarge"], ["--instance-type", "g6e.xlarge"], ["g6e.xlarge", "--instance-type", "g6e.xlarge"]],
)
def test_zones_are_listed_with_the_command_that_uses_them(session: boto3.Session, words: list[str]) -> None:
    _, printed = run("zones", *words)
    assert "offers g6e.xlarge" in printed
    rows = [line.split() for line in printed.splitlines()]
    assert ["us-east-1d", "yes", "sd", "deploy", "-c", "az=us-east-1d"] in rows
    assert ["us-east-1f", "no"] in rows


def test_two_instance_types_are_refused_instead_of_one_being_left_out(session: boto3.Session) -> None:
    found = CliRunner().invoke(app, ["zones", "g6e.xlarge", "--instance-type", "g5.xlarge"])
    assert isinstance(found.exception, CommandError)
    assert found.exception.exit_status == 2
    assert "g6e.xlarge and --instance-type g5.xlarge" in str(found.exception)


def test_an_option_that_undoes_an_input_undoes_what_belongs_to_it(account: Account) -> None:
    """As a deploy does: without its image a mask breaks a rule, and a prompt takes the place of a file of prompts."""
    account.deploy(InitImage="inputs/a.png", InitMask="inputs/m.png", PromptFile="inputs/p.txt")
    standing = find_standing(account.session, "SdOnEc2")
    job = _plan(standing, {"InitImage": "", "Prompt": "a horse"}, {}).job
    assert (job.init_img, job.init_mask, job.from_file) == ("", "", "")
    kept = _plan(standing, {"Steps": "7"}, {}).job
    assert (kept.init_mask, kept.from_file) == ("inputs/m.png", "inputs/p.txt")
