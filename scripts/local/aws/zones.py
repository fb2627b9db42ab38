"""The zones of the emulated region, as templates and instances meet them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import InstanceBackend

from scripts.local.aws.account import Account
from scripts.local.aws.replaced import replaced


def zones(account: Account) -> list[str]:
    """What Fn::GetAZs gives: the zones with a default subnet; all of them where none has one.

    Source: AWS's page on the function in CloudFormation's guide.
    """
    ec2 = account.client("ec2")
    subnets = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    everywhere = ec2.describe_availability_zones()["AvailabilityZones"]
    return sorted({subnet["AvailabilityZone"] for subnet in subnets} or {zone["ZoneName"] for zone in everywhere})


@contextlib.contextmanager
def types_in_their_zones() -> Iterator[None]:
    """Refuses an instance in a zone that does not offer its type, as EC2 does, while the context lasts."""

    def around(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def run_instances(backend: Any, *given: Any, **more: Any) -> Any:
            subnet, kind = more.get("subnet_id"), more.get("instance_type")
            zone = backend.get_subnet(subnet).availability_zone if subnet else None
            offered = backend.describe_instance_type_offerings("availability-zone", {"instance-type": [kind]})
            offering = sorted(one["Location"] for one in offered)
            if zone and offering and zone not in offering:
                raise EC2ClientError(
                    "Unsupported",
                    f"Your requested instance type ({kind}) is not supported in your requested Availability Zone "
                    f"({zone}). Please retry your request by not specifying an Availability Zone or choosing "
                    f"{', '.join(offering)}.",
                )
            return original(backend, *given, **more)

        return run_instances

    with replaced({(InstanceBackend, "run_instances"): around(InstanceBackend.__dict__["run_instances"])}):
        yield
