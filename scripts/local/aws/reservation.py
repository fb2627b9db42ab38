"""A capacity reservation of the emulated EC2, as far as the product makes one: open, on demand, with an end."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

ALIVE = ("pending", "running")
# EC2 ends a reservation within this time after its end date; a person must reckon with the latest moment.
ENDS_WITHIN = timedelta(hours=1)


@dataclass
class Reservation:
    """An open capacity reservation for one instance, and the instances that ever stood in it.

    Open: every instance of the type, the zone and the platform takes the place by itself, one that runs already too.
    """

    instance_type: str
    zone: str
    ends_at: datetime
    tags: list[dict[str, str]]
    id: str = field(default_factory=lambda: f"cr-{uuid.uuid4().hex[:17]}")
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    cancelled: bool = False
    instances: list[Any] = field(default_factory=list)

    @property
    def state(self) -> str:
        """EC2's word for the state."""
        if self.cancelled:
            return "cancelled"
        return "active" if datetime.now(UTC) < self.ends_at + ENDS_WITHIN else "expired"

    @property
    def is_free(self) -> bool:
        """Whether no instance stands in it: then EC2 bills the place like an instance, and counts it in the quota."""
        return self.state == "active" and not any(instance.state in ALIVE for instance in self.instances)

    def described(self) -> dict[str, Any]:
        """As DescribeCapacityReservations answers it."""
        return {
            "CapacityReservationId": self.id,
            "InstanceType": self.instance_type,
            "InstancePlatform": "Linux/UNIX",
            "AvailabilityZone": self.zone,
            "Tenancy": "default",
            "TotalInstanceCount": 1,
            "AvailableInstanceCount": int(self.is_free),
            "State": self.state,
            "EndDate": self.ends_at,
            "EndDateType": "limited",
            "InstanceMatchCriteria": "open",
            "CreateDate": self.created_at,
            "Tags": self.tags,
        }
