"""The local account answers for quotas and prices, so that `sd doctor` and `sd cost` can be tried in it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from scripts.local.local_cloud import LocalCloud

pytestmark = pytest.mark.local_cloud

ROOT = Path(__file__).parent.parent.parent


def run_sd(cloud: LocalCloud, *arguments: str) -> tuple[int, str, str]:
    """The command line as a process: its exit status, what it printed, and its errors."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.command_line", *arguments],
        cwd=ROOT,
        env=cloud.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def sd(cloud: LocalCloud, *arguments: str) -> tuple[int, str]:
    status, printed, errors = run_sd(cloud, *arguments)
    assert not errors, errors
    return status, printed


def test_a_request_for_more_is_filed_once_and_stays_pending(cloud: LocalCloud) -> None:
    options = ("--instance-type", "p5.4xlarge")
    _, said = sd(cloud, "quota", "request", *options, "--yes")
    assert said.startswith("Asked for 32 vCPUs: PENDING")
    _, said = sd(cloud, "quota", "request", *options, "--yes")
    assert said.startswith("Nothing to do")
    _, said = sd(cloud, "quota", "status", *options)
    assert said.count("PENDING") == 1


def test_the_doctor_sees_a_small_account(cloud: LocalCloud) -> None:
    _, printed = sd(cloud, "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(printed)["checks"]}
    assert (checks["account plan"]["state"], checks["account plan"]["found"]) == ("ok", "paid")
    assert checks["quota"]["state"] == "ok"
    assert "8 vCPUs" in checks["quota"]["found"]
    assert checks["price"]["found"].startswith("$1.006 an hour on-demand (AWS Price List API, us-east-1, today)")


def test_live_prices_are_the_table_s(cloud: LocalCloud) -> None:
    _, printed = sd(cloud, "cost", "--json")
    prices = {
        (one["instance_type"], one["life_cycle"]): one["usd_per_hour"] for one in json.loads(printed)["estimates"]
    }
    assert prices["g6.xlarge", "on-demand"] == 0.8048
    assert prices["g6.xlarge", "spot"] == 0.42


def test_other_services_answer_as_before(cloud: LocalCloud) -> None:
    quotas = cloud.client("service-quotas")
    assert quotas.get_service_quota(ServiceCode="vpc", QuotaCode="L-F678F1CE")["Quota"]["Value"] > 0
    with pytest.raises(ClientError, match="NoSuchResource"):
        quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-00000000")
    history = cloud.client("ec2").describe_spot_price_history(
        InstanceTypes=["t3.micro"], StartTime=datetime.now(UTC), ProductDescriptions=["Linux/UNIX"]
    )
    assert history["SpotPriceHistory"] == []
