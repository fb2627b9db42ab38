"""Quota arithmetic against recorded answers of a new account (0), small ones (4, 8) and a large one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from scripts.command_line import account_commands as quota_commands
from scripts.command_line.account.plan import Plan, make_plan
from scripts.command_line.account.quota import QuotaUse, quota_limit, quota_requests
from scripts.command_line.before.account_checks import check_quota
from scripts.command_line.before.check import Check
from scripts.local.aws.service_quotas import ec2_quotas
from stacks.facts.vcpu_quotas import QUOTAS
from tests.unit.command_line.conftest import Account

vcpus = st.integers(0, 2000)
G = QUOTAS[0]


@given(limit=st.floats(0, 5000), others=vcpus, own=vcpus, size=st.integers(1, 192), replaces=st.booleans())
def test_what_suffices_is_what_aws_would_grant(limit: float, others: int, own: int, size: int, replaces: bool) -> None:
    use = QuotaUse(limit=limit, others=others, own=own, type_vcpus=size, replaces=replaces)
    running = others + own
    # EC2 counts the new instance beside everything that runs, the old one too when it is replaced.
    highest = running + size if replaces else others + size
    assert use.suffices is (highest <= limit)
    assert use.free == max(0, limit - running)
    granted = QuotaUse(limit=use.wanted, others=others, own=own, type_vcpus=size, replaces=replaces)
    assert granted.suffices and granted.suffices_for_a_replacement
    if use.suffices_for_a_replacement:
        assert use.suffices
        assert others + 2 * size <= limit


def plan(account: Account, given: dict[str, str] | None = None, context: dict[str, str] | None = None) -> Plan:
    from scripts.command_line.account.deployment import find_deployment

    deployment = find_deployment(account.session, "SdOnEc2") if account.bucket else None
    return make_plan(deployment, given or {}, context or {})


def checked(account: Account, limit: float, **given: str) -> Check:
    with ec2_quotas({G.code: limit}):
        return check_quota(account.session, plan(account, given))


@pytest.mark.parametrize(
    ("limit", "state", "blocks"), [(0, "problem", True), (4, "problem", False), (8, "ok", False), (512, "ok", False)]
)
def test_a_first_deploy_in_accounts_of_each_size(account: Account, limit: float, state: str, blocks: bool) -> None:
    check = checked(account, limit)
    assert (check.state, check.blocks) == (state, blocks)
    assert f"{limit:g} vCPUs, 0 in use; this deploy takes 4" in check.found
    assert check.mend == ("sd quota request --instance-type g6.xlarge --vcpus 8" if state == "problem" else "")


def run_instance(account: Account, instance_type: Any, **more: Any) -> None:
    account.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType=instance_type, **more)


def test_what_runs_counts_and_what_is_stopped_or_of_another_quota_does_not(account: Account) -> None:
    for name in ("g4dn.2xlarge", "gr6.4xlarge", "t3.micro", "p4d.24xlarge"):
        run_instance(account, name)
    run_instance(account, "g6.xlarge", InstanceMarketOptions={"MarketType": "spot"})
    stopped = account.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="g5.xlarge")
    account.ec2.stop_instances(InstanceIds=[stopped["Instances"][0]["InstanceId"]])
    check = checked(account, 27)
    assert "27 vCPUs, 24 in use; this deploy takes 4" in check.found
    assert check.blocks
    assert check.mend.endswith("--vcpus 32")
    assert not checked(account, 28).blocks
    assert checked(account, 32).state == "ok"


def test_a_change_in_place_takes_no_more_and_a_replacement_takes_both(account: Account) -> None:
    account.deploy()
    account.ec2.terminate_instances(InstanceIds=[account.instance_id])
    launched = account.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="g5.xlarge")
    account.instance_id = launched["Instances"][0]["InstanceId"]
    account.session.client("cloudformation").delete_stack(StackName="SdOnEc2")
    account.deploy()
    in_place = checked(account, 4, Prompt="a tree")
    assert not in_place.blocks
    assert "4 vCPUs, 4 in use; this deploy takes 4" in in_place.found
    replaced = checked(account, 4, VolumeSize="200")
    assert replaced.blocks
    assert "this deploy takes 8" in replaced.found
    assert not checked(account, 8, VolumeSize="200").blocks


@pytest.mark.parametrize(
    ("change", "replaces_spot"),
    [({"InstanceType": "g5.xlarge"}, True), ({"Prompt": "a tree"}, True), ({"SshCidr": "203.0.113.7/32"}, False)],
)
def test_what_changes_in_place_replaces_an_instance_that_does_not_outlive_its_run(
    account: Account, change: dict[str, str], replaces_spot: bool
) -> None:
    account.deploy()
    assert not plan(account, change).replaces
    assert plan(account, {"AfterRun": "terminate"}).replaces
    account.session.client("cloudformation").delete_stack(StackName="SdOnEc2")
    account.deploy('{"spot": "true"}')
    assert plan(account, change).replaces is replaces_spot
    assert not plan(account, {"InstanceType": "g6.xlarge"}).replaces
    account.session.client("cloudformation").delete_stack(StackName="SdOnEc2")
    account.deploy(AfterRun="terminate")
    assert plan(account, change).replaces is replaces_spot
    assert plan(account, {"AfterRun": "stop"}).replaces
    assert not plan(account, {"InstanceType": "g6.xlarge"}).replaces


@pytest.fixture
def quotas(session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """Service Quotas' own answers, as they were recorded by others; the API's description checks their form."""
    client = session.client("service-quotas")
    stubber = Stubber(client)
    real = session.client

    def stubbed(name: str, **given: Any) -> Any:
        return client if name == "service-quotas" else real(name, **given)  # type: ignore[call-overload]

    monkeypatch.setattr(session, "client", stubbed)
    monkeypatch.setattr("scripts.command_line.terminal.session.open_session", lambda *_: session)
    with stubber:
        yield stubber


ASKED = {"ServiceCode": "ec2", "QuotaCode": G.code}


def answer(value: float) -> dict[str, Any]:
    return {"Quota": {"ServiceCode": "ec2", "QuotaCode": G.code, "QuotaName": G.name, "Value": value}}


def history(*states: str) -> dict[str, Any]:
    asked = [
        {"Id": f"r{day}", "DesiredValue": 8.0, "Status": state, "Created": datetime(2026, 1, day + 1, tzinfo=UTC)}
        for day, state in enumerate(states)
    ]
    return {"RequestedQuotas": asked}


def test_an_account_without_a_quota_of_its_own_has_the_default(session: boto3.Session, quotas: Stubber) -> None:
    quotas.add_client_error("get_service_quota", "NoSuchResourceException", expected_params=ASKED)
    quotas.add_response("get_aws_default_service_quota", answer(0.0), ASKED)
    assert quota_limit(session, G) == 0


def test_requests_come_the_latest_first(session: boto3.Session, quotas: Stubber) -> None:
    quotas.add_response("list_requested_service_quota_change_history_by_quota", history("DENIED", "CASE_OPENED"), ASKED)
    found = quota_requests(session, G)
    assert [(one.status, one.is_pending) for one in found] == [("CASE_OPENED", True), ("DENIED", False)]


def run(*arguments: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(quota_commands.quota, [*arguments])
    if outcome.exception and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return outcome.exit_code, outcome.stdout


def test_a_request_is_filed_after_a_yes(quotas: Stubber) -> None:
    quotas.add_response("get_service_quota", answer(0.0), ASKED)
    quotas.add_response("list_requested_service_quota_change_history_by_quota", history("DENIED"), ASKED)
    filed = {"RequestedQuota": {"Id": "r9", "DesiredValue": 8.0, "Status": "PENDING"}}
    quotas.add_response("request_service_quota_increase", filed, {**ASKED, "DesiredValue": 8.0})
    status, said = run("request", "--yes")
    assert status == 0
    assert "Asked for 8 vCPUs: PENDING" in said
    assert "Answer its case in the Support Center: the type (g6.xlarge), the region (us-east-1)" in said
    assert "ask for --vcpus 4." in said
    quotas.assert_no_pending_responses()


@pytest.mark.parametrize("state", ["PENDING", "CASE_OPENED"])
def test_what_is_pending_is_not_asked_for_again(quotas: Stubber, state: str) -> None:
    quotas.add_response("get_service_quota", answer(0.0), ASKED)
    quotas.add_response("list_requested_service_quota_change_history_by_quota", history(state), ASKED)
    status, said = run("request", "--yes")  # the stub would refuse another call
    assert (status, said.split(":")[0]) == (0, "Nothing to do")


def test_what_is_there_is_not_asked_for(quotas: Stubber) -> None:
    quotas.add_response("get_service_quota", answer(512.0), ASKED)
    status, said = run("request", "--yes")
    assert (status, said.split(":")[0]) == (0, "Nothing to do")


def test_status_tells_what_each_state_means(quotas: Stubber) -> None:
    quotas.add_response("get_service_quota", answer(8.0), ASKED)
    states = ("CASE_OPENED", "APPROVED", "DENIED", "CASE_CLOSED", "NOT_APPROVED", "INVALID_REQUEST")
    quotas.add_response("list_requested_service_quota_change_history_by_quota", history(*states), ASKED)
    _, said = run("status")
    assert "8 vCPUs, 0 in use" in said
    assert all(quota_commands.MEANINGS[state].split(";")[0][:12] in said for state in states)
