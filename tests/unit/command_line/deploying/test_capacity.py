"""When AWS has no instance to give, the person hears why and what to type next."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
import typer
from typer.testing import CliRunner

from scripts.command_line.account.plan import make_plan
from scripts.command_line.deploying import capacity
from scripts.command_line.deploying.capacity import explain_capacity
from scripts.command_line.deploying.wish import Types
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.parameter_options import with_parameter_options
from tests.unit.command_line.conftest import Account, answer
from tests.unit.command_line.deploying.test_deploy import run

NO_CAPACITY = (
    "We currently do not have sufficient g5.xlarge capacity in the Availability Zone you requested (us-east-1b). Our "
    "system will be working on provisioning additional capacity. (Service: Ec2, Status Code: 500)"
)


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def event(minutes: float, status: str, reason: str = "", kind: str = "AWS::EC2::Instance") -> dict[str, Any]:
    return {
        "StackId": "arn", "EventId": str(minutes), "StackName": "SdOnEc2",
        "Timestamp": NOON + timedelta(minutes=minutes),
        "ResourceType": kind, "ResourceStatus": status, "ResourceStatusReason": reason,
    }  # fmt: skip


BEGUN = event(0, "UPDATE_IN_PROGRESS", "User Initiated", capacity.STACK_TYPE)


def tell(session: boto3.Session, *events: dict[str, Any]) -> None:
    """From now on, CloudFormation tells of these events, the latest first."""
    session.events.register_first("before-call.cloudformation.DescribeStackEvents", answer({"StackEvents": [*events]}))


def explain(
    account: Account, *reasons: str, instance_type: str = "g5.xlarge", zone: str | None = None, spot: bool = False
) -> str | None:
    tell(account.session, *(event(1, "CREATE_FAILED", reason) for reason in reasons), BEGUN)
    given = {"Prompt": "a horse's tail", "InstanceType": instance_type}
    context = {"spot": "true", "max_price": "0.5"} if spot else {}
    plan = make_plan(None, given, {**context, **({"az": zone} if zone else {})})
    found = explain_capacity(account.session, plan, stack="SdOnEc2", since=NOON)
    return found.text if found else None


def test_the_command_that_looks_elsewhere_is_named(account: Account) -> None:
    said = explain(account, "Resource creation cancelled", NO_CAPACITY)
    assert said is not None
    first, *commands = said.splitlines()
    assert "AWS has no such instance to give in this zone at the moment" in first
    assert NO_CAPACITY in first
    assert commands == [
        """Let it look in every zone: sd deploy 'a horse'"'"'s tail' --types=g5.xlarge,g6.xlarge,g4dn.xlarge"""
    ]


def test_the_command_is_about_the_same_prompt_when_it_is_copied(account: Account) -> None:
    tell(account.session, event(1, "CREATE_FAILED", NO_CAPACITY), BEGUN)
    plan = make_plan(None, {"Prompt": "a\u200db"}, {})
    said = explain_capacity(account.session, plan, stack="SdOnEc2", since=NOON)
    assert said is not None
    assert r"sd deploy $'a\U0000200db' " in said.text


def test_a_zone_that_was_named_is_not_named_again(account: Account) -> None:
    said = explain(account, "InsufficientInstanceCapacity", zone="us-east-1a")
    assert said is not None
    assert "-c az=" not in said


def test_a_type_that_the_model_does_not_fit_is_not_named(account: Account) -> None:
    given = {"Model": "flux-schnell", "VolumeSize": "200", "InstanceType": "g6e.xlarge", "Quantize": "off"}
    tell(account.session, event(1, "CREATE_FAILED", NO_CAPACITY), BEGUN)
    said = explain_capacity(account.session, make_plan(None, given, {}), stack="SdOnEc2", since=NOON)
    assert said is not None
    assert "--types=g6e.xlarge,g7e.2xlarge" in said.text


def test_a_zone_that_does_not_offer_the_type(account: Account) -> None:
    reason = (
        "Your requested instance type (g6e.xlarge) is not supported in your requested Availability Zone (us-east-1f)"
    )
    said = explain(account, reason, instance_type="g6e.xlarge")
    assert said is not None
    assert "this zone does not offer the instance type" in said
    assert "--types=g6e.xlarge," in said


@pytest.mark.parametrize(
    ("reason", "spot", "command"),
    [
        ("You have requested more vCPU capacity than your current vCPU limit of 0 allows", False, "g5.xlarge;"),
        ("Max spot instance count exceeded", True, "g5.xlarge --spot;"),
        ("MaxSpotInstanceCountExceeded", True, "g5.xlarge --spot;"),
        ("VcpuLimitExceeded", False, "g5.xlarge;"),
    ],
)
def test_a_quota_is_no_matter_of_zones(account: Account, reason: str, spot: bool, command: str) -> None:
    said = explain(account, reason, spot=spot)
    assert said is not None
    assert said.endswith(f"Ask for more: sd quota request --instance-type {command} see `sd doctor`.")


def test_on_demand_is_offered_to_who_wanted_spot(account: Account) -> None:
    said = explain(account, "There is no Spot capacity available that matches your request.", spot=True)
    assert said is not None
    assert "-c spot=true -c max_price=0.5 --types=" in said
    assert said.endswith("""sd deploy 'a horse'"'"'s tail' -c spot=false --types=g5.xlarge,g6.xlarge,g4dn.xlarge""")


def test_the_named_command_takes_every_value_back(account: Account) -> None:
    given = {"Prompt": "-1 horse", "NegativePrompt": "--people", "SkipGrid": "on", "FixedCode": "off", "Seed": "7"}
    tell(account.session, event(1, "CREATE_FAILED", NO_CAPACITY), BEGUN)
    said = explain_capacity(account.session, make_plan(None, given, {}), stack="SdOnEc2", since=NOON)
    assert said is not None
    taken = []
    probe = typer.Typer()

    @probe.command()
    @with_parameter_options
    def deploy(parameters: dict[str, str], types: Types = None) -> None:
        taken.append((parameters, types))

    for line in said.text.splitlines()[1:]:
        words = shlex.split(line.partition(": ")[2])
        assert words[:2] == ["sd", "deploy"]
        assert CliRunner().invoke(probe, words[2:]).exit_code == 0, words
    assert taken == [(given, "g6.xlarge,g5.xlarge,g4dn.xlarge")]


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        (
            "The specified instance type is not eligible for Free Tier. For a list of Free Tier instance types, run "
            "'describe-instance-types' with the filter 'free-tier-eligible=true'. (Service: Ec2, Status Code: 400)",
            "Upgrade to a paid plan: AWS console, Billing and Cost Management, Account",
        ),
        (
            "Your account is currently being validated. This can take up to four hours.",
            "AWS still checks the new account",
        ),
        ("Your request for accessing resources in this region is being validated", "AWS still checks the new account"),
        ("PendingVerification: Your account is pending verification.", "AWS still checks the new account"),
        ("The maximum number of VPCs has been reached. (Service: Ec2)", "Delete one that nothing uses"),
        (
            "The provided credentials do not have permission to create the service-linked role for EC2 Spot Instances.",
            "which an account needs once",
        ),
        (
            "User: arn:aws:sts::1:assumed-role/cdk/x is not authorized to perform: iam:CreateServiceLinkedRole",
            "create-service-linked-role --aws-service-name events.amazonaws.com",
        ),
        ("The CIDR '10.0.0.0/16' conflicts with another subnet", "`sd doctor` says how to make a new one"),
        ("Template error: Fn::Select cannot select nonexistent value at index 2", "Name zones that `sd zones` shows"),
        ("You must wait 60 seconds after deleting a queue before you can create another", "names again after a minute"),
    ],
)
def test_what_no_other_zone_mends_is_told_with_its_own_way_out(account: Account, reason: str, why: str) -> None:
    said = explain(account, "Resource creation cancelled", reason)
    assert said is not None
    assert why in said
    assert said.endswith(reason)
    assert "--types" not in said


def test_an_operation_that_is_not_supported_is_no_matter_of_zones(account: Account) -> None:
    assert explain(account, "UnsupportedOperation: the instance is spot") is None


def test_another_failure_is_left_to_cloudformation(account: Account) -> None:
    assert explain(account, "The bucket exists already") is None
    assert explain(account) is None


@pytest.mark.parametrize(("since", "told"), [(0.0, True), (3.0, True), (20.0, False)])
def test_the_latest_operation_s_failures_alone_are_read(account: Account, since: float, told: bool) -> None:
    """Recorded events. AWS's clock may be some minutes behind this machine's."""
    tell(
        account.session,
        event(2, "ROLLBACK_IN_PROGRESS", "The following resource(s) failed", capacity.STACK_TYPE),
        event(1.5, "CREATE_FAILED", "not supported in your requested Availability Zone (us-east-1f)"),
        event(1, "CREATE_IN_PROGRESS"),
        event(0.5, "UPDATE_IN_PROGRESS", "User Initiated", capacity.STACK_TYPE),
        event(-1, "CREATE_FAILED", NO_CAPACITY),
        event(-2, "CREATE_IN_PROGRESS", "User Initiated", capacity.STACK_TYPE),
    )
    since_then = NOON + timedelta(minutes=since)
    said = explain_capacity(account.session, make_plan(None, {}, {}), stack="SdOnEc2", since=since_then)
    assert ("(us-east-1f)" in said.text if said else False) is told


def test_what_ec2_does_not_do_with_a_spot_instance_is_no_matter_of_zones(account: Account) -> None:
    refused = "You can't stop the Spot Instance because of its one-time request (Error Code: UnsupportedOperation)"
    assert explain(account, refused, spot=True) is None


def test_an_earlier_operation_s_failure_is_no_answer(account: Account) -> None:
    earlier = event(-1, "CREATE_FAILED", NO_CAPACITY)
    tell(account.session, event(2, "UPDATE_COMPLETE", kind=capacity.STACK_TYPE), BEGUN, earlier)
    assert explain_capacity(account.session, make_plan(None, {}, {}), stack="SdOnEc2", since=NOON) is None


def test_a_deploy_that_fails_for_capacity_says_so(account: Account) -> None:
    def fails(*_: object) -> None:
        raise CommandError("`cdk deploy` failed; the lines above say why.")

    account.deploy()
    now = {"Timestamp": datetime.now(UTC)}
    tell(account.session, event(1, "CREATE_FAILED", NO_CAPACITY) | now, BEGUN | now)
    with pytest.raises(
        CommandError, match="(?s)failed; .*: sd deploy 'a tree' --types=g6.xlarge,g5.xlarge,g4dn.xlarge$"
    ):
        run(account, fails, {"Prompt": "a tree"})
