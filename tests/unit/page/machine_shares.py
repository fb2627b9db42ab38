"""What a machine has told of a batch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from userdata.batch.documents import MachineShare

BEGAN = datetime(2026, 11, 29, 10, tzinfo=UTC)


def share(**other: Any) -> MachineShare:
    """A machine that has drawn 100 images in half an hour, for half a dollar."""
    return MachineShare(
        **{
            "instance_id": "i-1",
            "instance_type": "g6.xlarge",
            "life_cycle": "on-demand",
            "began": BEGAN,
            "updated_at": BEGAN + timedelta(minutes=30),
            "units": 10,
            "images": 100,
            "seconds": 1500,
            "usd": 0.5,
            "usd_at_most": 0.5,
            "usd_per_hour": 0.8,
            **other,
        }
    )
