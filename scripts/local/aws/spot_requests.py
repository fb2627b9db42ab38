"""Spot instances as EC2 has them: each has its request, and one with a one-time request cannot be stopped.

moto marks an instance as spot when it is launched with market options, and does no more.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.models.spot_requests import SpotInstanceRequest
from moto.ec2.utils import random_spot_request_id

from scripts.local.aws.account import Account
from scripts.local.aws.replaced import replaced


class SpotRequest(SpotInstanceRequest):  # type: ignore[misc]  # moto is untyped here
    """The request of a launched instance. The request closes when the instance is gone."""

    def __init__(self, backend: Any, instance: Any, options: dict[str, Any]) -> None:
        self._launched = instance
        super().__init__(
            ec2_backend=backend,
            spot_request_id=random_spot_request_id(),
            price=options.get("MaxPrice", ""),
            image_id=instance.image_id,
            spot_instance_type=options.get("SpotInstanceType", "one-time"),
            valid_from=None,
            valid_until=None,
            launch_group=None,
            availability_zone_group=None,
            key_name=instance.key_name,
            security_groups=[],
            user_data=None,
            instance_type=instance.instance_type,
            placement=None,
            kernel_id=None,
            ramdisk_id=None,
            monitoring_enabled=False,
            subnet_id=instance.subnet_id,
            tags={},
            spot_fleet_id=None,
            instance_interruption_behaviour=options.get("InstanceInterruptionBehavior"),
        )

    def launch_instance(self) -> Any:
        """The instance, which was launched before."""
        return self._launched

    @property
    def state(self) -> str:
        """`active` as long as the instance exists, then `closed`."""
        return "closed" if self._launched.state in ("shutting-down", "terminated") else "active"

    @state.setter
    def state(self, value: str) -> None:
        """Ignores what moto sets, because the state follows from the instance."""


def record_spot_request(account: Account, instance_id: str, options: dict[str, Any]) -> str:
    """Adds the request of an instance that was launched with those SpotOptions, and gives its id. It has no tags."""
    backend = ec2_backends[account.id][account.region]
    request = SpotRequest(backend, backend.get_instance(instance_id), options)
    backend.spot_instance_requests[request.id] = request
    return str(request.id)


@contextlib.contextmanager
def spot_instances_cannot_be_stopped() -> Iterator[None]:
    """Refuses what EC2 refuses for an instance of a one-time request, while the context lasts."""

    def around_stop(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def stop_instances(backend: Any, instance_ids: list[str]) -> Any:
            for instance_id in instance_ids:
                if backend.get_instance(instance_id).lifecycle == "spot":
                    raise EC2ClientError(
                        "UnsupportedOperation",
                        f"You can't stop the Spot Instance '{instance_id}' because it is associated with a one-time "
                        "Spot Instance request. You can only stop Spot Instances associated with persistent Spot "
                        "Instance requests.",
                    )
            return original(backend, instance_ids)

        return stop_instances

    with replaced({(InstanceBackend, "stop_instances"): around_stop(InstanceBackend.__dict__["stop_instances"])}):
        yield
