"""The user data of a fleet's machine, before the bundle is there: a machine that only powered off would be replaced."""

from __future__ import annotations

import json

import pytest

from tests.unit.boot.test_user_data import FirstBoot, first_boot  # noqa: F401  # a fixture

FLEET = {"Fleet": "0", "Queues": "sd-1", "OnFailure": "stop", "AfterRun": "terminate"}
LEAVES = (
    "autoscaling terminate-instance-in-auto-scaling-group --should-decrement-desired-capacity --instance-id "
    "i-0123456789abcdef0"
)
CLOSES = "autoscaling update-auto-scaling-group --auto-scaling-group-name sd-1 --min-size 0 --max-size 0"


def in_a_bucket_with(first_boot: FirstBoot, *before: str, **others: str) -> list[str]:  # noqa: F811
    """The calls of a machine whose bundle is none, where `before` was written below `fleet/`, one a second."""
    written = [f"2026-11-29 16:00:{second:02}  3 fleet/{name}" for second, name in enumerate([*before, "failed/me"])]
    listing = "\n".join(reversed(["2026-11-29 15:00:00  3 fleet/lost/failed.json", *written]))
    aws = first_boot.folder / "bin/aws"
    aws.rename(aws.with_name("aws-s3"))
    first_boot.machine.command(
        "aws",
        f'case "$*" in autoscaling*|sns*) echo "$*" >>"{first_boot.folder}/calls" ;; '
        f'"s3 ls s3://{first_boot.machine.bucket_name}/fleet/ --recursive") echo "{listing}" ;; '
        '*) exec aws-s3 "$@" ;; esac',
    )
    first_boot.offer(b"no bundle")
    assert first_boot.run(**FLEET, **others).returncode == 1
    return [call for call in first_boot.machine.calls if call.startswith(("autoscaling", "sns", "shutdown"))]


@pytest.mark.parametrize(
    "before", [[], ["failed/a"], ["failed/a", "booted.json", "failed/b"], ["failed/a", "failed/b", "booted.json"]]
)
def test_a_machine_without_a_bundle_leaves_its_group_and_then_powers_off(
    first_boot: FirstBoot,  # noqa: F811
    before: list[str],
) -> None:
    assert in_a_bucket_with(first_boot, *before) == [LEAVES, "shutdown -P now"]
    (told,) = (first_boot.assets / first_boot.machine.bucket_name / "fleet/failed").iterdir()
    assert told.name.endswith("-i-0123456789abcdef0.json")


def test_the_third_in_a_row_closes_the_fleet_and_says_why(first_boot: FirstBoot) -> None:  # noqa: F811
    asked = in_a_bucket_with(first_boot, "booted.json", "failed/a", "failed/b", Topic="arn:aws:sns:a:b:c")
    mailed = "sns publish --topic-arn arn:aws:sns:a:b:c --message The fleet has closed itself: boots/ says why."
    assert asked == [mailed, CLOSES, LEAVES, "shutdown -P now"]
    fleet = first_boot.assets / first_boot.machine.bucket_name / "fleet"
    assert "Three machines in a row could not start" in json.loads((fleet / "closed.json").read_text())["reason"]
    assert (fleet / "booted.json").exists()  # so that whoever opens it again begins a new count


def test_the_timer_of_max_hours_leaves_the_group_before_it_powers_off(first_boot: FirstBoot) -> None:  # noqa: F811
    assert first_boot.run(**FLEET).returncode == 0
    software = first_boot.machine.folders.software
    assert first_boot.machine.calls[0].endswith(
        f"/bin/sh -c cd {software}/current && timeout 99 python3 -m userdata.fleet.leave || true && systemctl poweroff "
        "|| true && sleep 300 && systemctl poweroff -ff"
    )
