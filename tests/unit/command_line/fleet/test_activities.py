"""Why a fleet gets no machines, in a sentence: the group itself tells nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from scripts.command_line.fleet.activities import trouble
from tests.unit.command_line.conftest import answer
from tests.unit.command_line.fleet.conftest import Fleet

# As people quote them from their groups.
BEHIND = "Launching EC2 instance failed."
SAID = {
    "Could not launch On-Demand Instances. VcpuLimitExceeded - You have requested more vCPU capacity than your current "
    f"vCPU limit of 0 allows for the instance bucket. {BEHIND}": "on-demand vCPU quota is used up; `sd quota request`",
    f"Max spot instance count exceeded. {BEHIND}": "spot vCPU quota is used up; `sd quota request --spot`",
    "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your request "
    f"configuration. Please adjust your request and try again. {BEHIND}": "AWS has no such machine to give",
    "We currently do not have sufficient g5.xlarge capacity in the Availability Zone you requested (us-east-1a). "
    f"{BEHIND}": "AWS has no such machine to give",
    "Could not launch Spot Instances. AuthFailure.ServiceLinkedRoleCreationNotPermitted - The provided credentials do "
    f"not have permission to create the service-linked role for EC2 Spot Instances. {BEHIND}": "ServiceRoleForEC2Spot;",
    f"You are not authorized to perform this operation. {BEHIND}": "does not let the group start machines",
    f"The moon is full. {BEHIND}": "AWS says The moon is full. Launching EC2 instance failed; the group goes on",
}


class Group:
    """A group whose activities a test says, the latest first, each with its state and its message."""

    def __init__(self, fleet: Fleet) -> None:
        fleet.deploy(4)
        self.fleet = fleet
        self.activities: list[dict[str, Any]] = []
        event = "before-call.autoscaling.DescribeScalingActivities"
        fleet.account.session.events.register_first(event, answer({"Activities": self.activities}))
        self.wants = {**fleet.group, "DesiredCapacity": 2}
        event = "before-call.autoscaling.DescribeAutoScalingGroups"
        fleet.account.session.events.register_first(event, answer({"AutoScalingGroups": [self.wants]}))

    def trouble_after(self, *activities: tuple[str, str]) -> str | None:
        self.activities[:] = [
            {
                "Description": f"Launching a new EC2 instance.  Status Reason: {message}",
                "StartTime": datetime.now(UTC) - timedelta(minutes=age),
                "StatusCode": state,
                "StatusMessage": message,
            }
            for age, (state, message) in enumerate(activities, start=2)
        ]
        return trouble(self.fleet.account.session, self.fleet.deployment)


def test_a_refusal_is_told_with_its_way_out(fleet: Fleet) -> None:
    group = Group(fleet)
    for message, told in SAID.items():
        found = group.trouble_after(("InProgress", ""), ("Failed", message), ("Successful", ""))
        assert found
        assert told in found
        assert "(3 minutes ago)" in found


def test_no_trouble_is_told_after_a_launch_that_succeeded_or_none_at_all(fleet: Fleet) -> None:
    group = Group(fleet)
    assert group.trouble_after(("Successful", ""), ("Failed", "Max spot instance count exceeded.")) is None
    assert group.trouble_after() is None
    group.wants["DesiredCapacity"] = 0
    assert group.trouble_after(("Failed", "Max spot instance count exceeded.")) is None, "it tries no more"


def test_a_stack_without_a_fleet_has_no_trouble_with_one(fleet: Fleet) -> None:
    fleet.deploy()
    assert trouble(fleet.account.session, fleet.deployment) is None
