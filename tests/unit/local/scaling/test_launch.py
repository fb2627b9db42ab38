from __future__ import annotations

from types import SimpleNamespace

import pytest

from scripts.local.scaling.launch import spot_share


@pytest.mark.parametrize(
    ("base", "percent", "capacity", "spot"),
    [
        (0, 0, 3, 3),
        (0, 100, 3, 0),
        (0, 25, 1, 0),
        (0, 25, 4, 3),
        (0, 25, 5, 3),
        (2, 0, 1, 0),
        (2, 0, 5, 3),
        (0, 0, 0, 0),
    ],
)
def test_the_on_demand_share_is_rounded_up(base: int, percent: int, capacity: int, spot: int) -> None:
    shares = {"OnDemandBaseCapacity": base, "OnDemandPercentageAboveBaseCapacity": percent}
    group = SimpleNamespace(mixed_instances_policy={"InstancesDistribution": shares})
    assert spot_share(group, capacity) == spot


def test_without_a_share_every_instance_is_on_demand() -> None:
    assert spot_share(SimpleNamespace(mixed_instances_policy={"InstancesDistribution": {}}), 4) == 0
