"""A fleet that could have no machine is refused before it is deployed, and one that could have fewer is told of."""

from __future__ import annotations

import boto3
import pytest

from scripts.command_line.account.plan import make_plan
from scripts.command_line.before.check import Check
from scripts.command_line.before.doctor import examine, refuse_what_blocks
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.conftest import offer

NAMES = ["fleet types", "fleet quota", "spot role"]


def checks(session: boto3.Session, parameters: dict[str, str] | None = None, **settings: str) -> dict[str, Check]:
    return {check.name: check for check in examine(session, make_plan(None, parameters or {}, settings), NAMES)}


def test_without_a_fleet_nothing_is_asked_of_it(session: boto3.Session) -> None:
    asked: list[str] = []
    session.events.register_first("before-call", lambda model, **_: asked.append(model.name))
    assert {check.state for check in checks(session).values()} == {"ok"}
    assert asked == ["GetCallerIdentity"]


def test_a_fleet_that_the_account_holds_is_well(session: boto3.Session) -> None:
    session.client("iam").create_role(RoleName="AWSServiceRoleForEC2Spot", AssumeRolePolicyDocument="{}")
    offer(session, "g6.xlarge", "g5.xlarge")
    found = checks(session, fleet="2", fleet_types="g6.xlarge,g6e.xlarge,g5.xlarge")
    assert {check.state for check in found.values()} == {"ok"}
    assert found["fleet types"].found == "g6.xlarge, g5.xlarge; left out: g6e.xlarge"
    assert "Spot Instance Requests: 8 vCPUs, 0 in use, which leaves 2 machines" in found["fleet quota"].found


def test_a_second_pass_leaves_out_the_cards_that_it_does_not_fit(session: boto3.Session) -> None:
    offer(session, "g6.xlarge", "g4dn.xlarge")
    upscaled = {"Model": "sdxl-base", "Upscale": "2"}
    found = checks(session, upscaled, fleet="2", fleet_types="g6.xlarge,g4dn.xlarge")["fleet types"].found
    assert found == "g6.xlarge; left out: g4dn.xlarge"


def test_a_quota_that_is_short_is_told_for_each_market_with_the_request(session: boto3.Session) -> None:
    half = checks(session, fleet="10", fleet_on_demand="50")["fleet quota"]
    assert (half.state, half.blocks) == ("problem", False)
    assert half.mend == (
        "sd quota request --instance-type g6.xlarge --vcpus 20 --spot; "
        "sd quota request --instance-type g6.xlarge --vcpus 20"
    )
    assert "--vcpus 40 --spot; " in checks(session, fleet="10", fleet_fallback="true")["fleet quota"].mend
    assert "--spot" not in checks(session, fleet="10", fleet_on_demand="100")["fleet quota"].mend


def test_a_fleet_that_can_have_no_machine_is_not_deployed(session: boto3.Session) -> None:
    offer(session, "g5.xlarge")
    with pytest.raises(CommandError) as refused:
        refuse_what_blocks(session, make_plan(None, {}, {"fleet": "4", "fleet_types": "p4d.24xlarge"}), NAMES)
    assert "fleet types: none of p4d.24xlarge is offered in us-east-1" in str(refused.value)
    assert "leaves 0 machines of p4d.24xlarge" in str(refused.value)


def test_a_missing_spot_role_is_told_where_spot_machines_are_bought(session: boto3.Session) -> None:
    missing = checks(session, fleet="2")["spot role"]
    assert (missing.state, missing.blocks) == ("problem", False)
    assert missing.mend == "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
    assert checks(session, fleet="2", fleet_on_demand="100")["spot role"].state == "ok"
