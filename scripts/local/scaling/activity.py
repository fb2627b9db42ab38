"""One scaling activity, as DescribeScalingActivities tells of it.

Source of the sentences: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-scaling-activities.html
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


def at(moment: datetime | None = None) -> str:
    """A moment, by default this one, as the causes of activities write it."""
    return (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Activity:
    """What a group does about one instance. `message` is None unless it failed."""

    group: str
    group_arn: str
    description: str
    cause: str
    details: dict[str, str]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    status: str = "InProgress"
    message: str | None = None

    def succeed(self) -> None:
        """Ends it well."""
        self.ended, self.status = datetime.now(UTC), "Successful"

    def fail(self, message: str) -> None:
        """Ends it with EC2's words."""
        self.ended, self.status, self.message = datetime.now(UTC), "Failed", message
        self.description += f".  Status Reason: {message}"

    def described(self) -> dict[str, Any]:
        """As the API answers it."""
        told = {
            "ActivityId": self.id,
            "AutoScalingGroupName": self.group,
            "AutoScalingGroupARN": self.group_arn,
            "Description": self.description,
            "Cause": self.cause,
            "StartTime": self.started,
            "EndTime": self.ended,
            "StatusCode": self.status,
            "StatusMessage": self.message,
            "Progress": 100 if self.ended else 50,
            "Details": json.dumps(self.details),
        }
        return {name: value for name, value in told.items() if value is not None}
