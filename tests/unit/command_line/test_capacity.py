"""When AWS has no instance to give, the person hears why and what to type next."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from scripts.command_line import capacity
from scripts.command_line import deploy as deploy_module
from scripts.command_line.capacity import explain_capacity
from scripts.command_line.command_error import CommandError
from tests.unit.command_line.conftest import Account
from tests.unit.command_line.test_deploy import run

NO_CAPACITY = (
    "We currently do not have sufficient g5.xlarge capacity in the Availability Zone you requested (us-east-1b). Our "
    "system will be working on provisioning additional capacity. (Service: Ec2, Status Code: 500)"
)


def explain(
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    *reasons: str,
    instance_type: str = "g5.xlarge",
    zone: str | None = None,
    spot: bool = False,
) -> str | None:
    monkeypatch.setattr(capacity, "_reasons", lambda *_: list(reasons))
    now = datetime.now(UTC)
    return explain_capacity(
        account.session, stack="SdOnEc2", since=now, instance_type=instance_type, zone=zone, spot=spot
    )


def test_the_next_zone_and_the_next_type_are_named(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    said = explain(account, monkeypatch, "Resource creation cancelled", NO_CAPACITY)
    assert said is not None
    first, *commands = said.splitlines()
    assert "AWS has no such instance to give in this zone at the moment" in first
    assert NO_CAPACITY in first
    assert commands == [
        "Try the next zone: sd deploy -c az=us-east-1c",
        "Or the next type: sd deploy --instance-type g4dn.xlarge",
    ]


@pytest.mark.parametrize(("failed", "following"), [("us-east-1a", "us-east-1b"), ("us-east-1f", "us-east-1a")])
def test_each_further_failure_names_another_zone(
    account: Account, monkeypatch: pytest.MonkeyPatch, failed: str, following: str
) -> None:
    said = explain(account, monkeypatch, "InsufficientInstanceCapacity", zone=failed)
    assert said is not None
    assert f"-c az={following}" in said


def test_a_zone_that_does_not_offer_the_type(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = (
        "Your requested instance type (g6e.xlarge) is not supported in your requested Availability Zone (us-east-1f)"
    )
    said = explain(account, monkeypatch, reason, instance_type="g6e.xlarge")
    assert said is not None
    assert "this zone does not offer the instance type" in said
    assert "-c az=us-east-1a" in said


@pytest.mark.parametrize(
    ("reason", "spot", "command"),
    [
        ("You have requested more vCPU capacity than your current vCPU limit of 0 allows", False, "g5.xlarge;"),
        ("Max spot instance count exceeded", True, "g5.xlarge --spot;"),
        ("MaxSpotInstanceCountExceeded", True, "g5.xlarge --spot;"),
        ("VcpuLimitExceeded", False, "g5.xlarge;"),
    ],
)
def test_a_quota_is_no_matter_of_zones(
    account: Account, monkeypatch: pytest.MonkeyPatch, reason: str, spot: bool, command: str
) -> None:
    said = explain(account, monkeypatch, reason, spot=spot)
    assert said is not None
    assert said.endswith(f"Ask for more: sd quota request --instance-type {command} see `sd doctor`.")


def test_on_demand_is_offered_to_who_wanted_spot(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    said = explain(account, monkeypatch, "There is no Spot capacity available that matches your request.", spot=True)
    assert said is not None
    assert "sd deploy -c spot=true -c az=" in said
    assert said.endswith("Or on demand, at the full price: sd deploy")


def test_another_failure_is_left_to_cloudformation(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    assert explain(account, monkeypatch, "The bucket exists already") is None
    assert explain(account, monkeypatch) is None


def test_the_events_of_this_deploy_alone_are_read(account: Account) -> None:
    """moto's own stack: no failure in it."""
    account.deploy()
    assert capacity._reasons(account.session, "SdOnEc2", datetime(2020, 1, 1, tzinfo=UTC)) == []


def test_a_deploy_that_fails_for_capacity_says_so(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise CommandError("`cdk deploy` failed; the lines above say why.")

    account.deploy()
    monkeypatch.setattr(deploy_module, "cdk_deploy", fails)
    monkeypatch.setattr(capacity, "_reasons", lambda *_: [NO_CAPACITY])
    with pytest.raises(CommandError, match="(?s)failed; .*Try the next zone: sd deploy -c az=us-east-1c"):
        run(account, {"Prompt": "a tree"})
