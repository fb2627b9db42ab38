"""Accounts with few zones, without default subnets, and with a first zone that lacks the type: the deploy works."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from moto.ec2.models import ec2_backends

from scripts.command_line.deploying.capacity import OTHERWISE
from scripts.local.local_cloud import LocalCloud
from tests.local_cloud.conftest import Stack, machines_hang
from tests.local_cloud.test_capacity import SMALL, type_and_zone
from tests.local_cloud.test_lifetime import Hung
from tests.local_cloud.test_quotas_and_prices import run_sd

pytestmark = pytest.mark.local_cloud

KeepDefaultSubnets = Callable[..., None]


@pytest.fixture
def keep_default_subnets(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> KeepDefaultSubnets:
    """Makes the account one with default subnets in those zones alone, until the test is over."""
    by_zone = ec2_backends[cloud.account.id][cloud.account.region].subnets

    def keep(*zones: str) -> None:
        for zone, subnets in by_zone.items():
            for subnet in subnets.values():
                # Past the API: moto cannot make a default subnet again.
                monkeypatch.setattr(subnet, "default_for_az", zone in zones)

    return keep


@pytest.mark.parametrize(
    ("zones", "first"),
    [
        (("us-east-1c",), "us-east-1c"),
        ((), "us-east-1a"),
        (("us-east-1b", "us-east-1d"), "us-east-1b"),
        (tuple(f"us-east-1{letter}" for letter in "abcdef"), "us-east-1a"),
    ],
)
def test_a_plain_deploy_works_however_many_zones_the_account_has(
    stack: Stack,
    template: dict[str, Any],
    keep_default_subnets: KeepDefaultSubnets,
    zones: tuple[str, ...],
    first: str,
) -> None:
    keep_default_subnets(*zones)
    hung = Hung(stack, template)
    assert stack.instance(hung.id)["Placement"]["AvailabilityZone"] == first


def test_more_zones_than_the_account_has_fail_in_words_that_sd_explains(
    stack: Stack, template: dict[str, Any], keep_default_subnets: KeepDefaultSubnets
) -> None:
    keep_default_subnets("us-east-1c")
    first, third = (f'{{"Fn::Select": [{index}, {{"Fn::GetAZs"' for index in (0, 2))
    text = json.dumps(template)
    assert first in text
    reasons = stack.fail_to_create(json.loads(text.replace(first, third)))
    assert "Fn::Select cannot select nonexistent value at index 2" in reasons
    assert any(pattern in reasons for pattern in OTHERWISE)


@machines_hang()
def test_sd_deploy_works_where_cloudformation_s_first_zone_lacks_the_type(
    cloud: LocalCloud, keep_default_subnets: KeepDefaultSubnets
) -> None:
    keep_default_subnets("us-east-1e", "us-east-1f")
    cloud.bootstrap()
    try:
        status, _, errors = run_sd(cloud, "deploy", "a horse", *SMALL, "--instance-type", "g6e.xlarge")
        assert status == 0, errors
        assert type_and_zone(cloud) == ("g6e.xlarge", "us-east-1a")
    finally:
        Stack(cloud, "SdOnEc2").delete()


def test_a_plain_deploy_in_a_zone_without_the_type_is_refused_by_ec2(
    stack: Stack, template: dict[str, Any], keep_default_subnets: KeepDefaultSubnets
) -> None:
    keep_default_subnets("us-east-1e", "us-east-1f")
    reasons = stack.fail_to_create(template, InstanceType="g6e.xlarge")
    assert "(g6e.xlarge) is not supported in your requested Availability Zone (us-east-1e)" in reasons
