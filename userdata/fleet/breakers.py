"""When a fleet stops itself, and when it changes the market, by what its machines have told in the bucket.

| key | who writes it |
| --- | --- |
| `fleet/failed/<time>-<instance-id>.json` | a machine whose boot or whose worker failed |
| `fleet/booted.json` | a machine that works or has worked, and one that closes the fleet: failures count anew |
| `fleet/closed.json` | the third failing machine in a row: why the fleet is closed |
| `fleet/lost/<time>-<instance-id>.json` | a machine that EC2 takes back |
| `fleet/on-demand.json`, `fleet/spot.json` | a machine that has changed the market |

Times are those of S3, which the machines' own clocks cannot put out of order. Nobody has to delete anything.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Mapping

from userdata.contract.layout import FLEET

FAILED, LOST = f"{FLEET}failed/", f"{FLEET}lost/"
BOOTED, CLOSED = f"{FLEET}booted.json", f"{FLEET}closed.json"
ON_DEMAND, SPOT = f"{FLEET}on-demand.json", f"{FLEET}spot.json"
# The user data counts so too, where the bundle is not there.
FAILURES = 3
LOSSES, LOSSES_WITHIN = 2, timedelta(minutes=15)
ON_DEMAND_FOR = timedelta(minutes=30)

# The objects below `fleet/`, each with the time of its last writing.
Told = Mapping[str, datetime]


def boots_fail(told: Told) -> bool:
    """Whether the last machines, `FAILURES` of them, have failed, and none has worked between."""
    in_order = sorted((time, key) for key, time in told.items() if key == BOOTED or key.startswith(FAILED))
    last = [key for _, key in in_order[-FAILURES:]]
    return len(last) == FAILURES and BOOTED not in last


def spot_is_lost(told: Told) -> bool:
    """Whether the last two machines that EC2 took back were taken within 15 minutes."""
    losses = sorted(time for key, time in told.items() if key.startswith(LOST))[-LOSSES:]
    return len(losses) == LOSSES and losses[-1] - losses[0] <= LOSSES_WITHIN


def goes_back_to_spot(told: Told, now: datetime) -> bool:
    """Whether the fleet has been on-demand for half an hour since its last loss."""
    since = told.get(ON_DEMAND)
    if since is None or (SPOT in told and told[SPOT] >= since):
        return False
    return now - since >= ON_DEMAND_FOR
