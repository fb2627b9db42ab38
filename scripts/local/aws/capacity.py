"""EC2's capacity: the account's quotas, and types that are sold out. With what moto lacks: reservations, scores."""

from __future__ import annotations

import contextlib
import functools
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
from moto.ec2.models.instance_types import INSTANCE_TYPES as EVERY_TYPE
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.responses import EC2Response

from scripts.local.aws.replaced import replaced
from scripts.local.aws.service_quotas import LIMITS
from stacks.facts.vcpu_quotas import quota_kind

ALIVE = ("pending", "running")
# EC2 ends a reservation within this time after its end date; a person must reckon with the latest moment.
ENDS_WITHIN = timedelta(hours=1)
# What AWS documents for a request with one or two types: "the returned placement score will always be low".
LOW = 2


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


class Capacity:
    """What EC2 has to give: everything, but for the types and zones in `sold_out`.

    A test or a capture adds to `sold_out`. `reservations` are all that were ever made. `quotas` are vCPUs by the code
    of a quota, else those of the small account; a quota without a number has no end.
    """

    def __init__(self, quotas: Mapping[str, float] | None = None) -> None:
        self._quotas = {code: limit for code, (_, limit) in LIMITS.items()} if quotas is None else quotas
        self.sold_out: set[tuple[str, str]] = set()
        self.reservations: list[Reservation] = []

    def sell_out(self, instance_type: str, *zones: str) -> None:
        """From now on, EC2 has none of these instances to give in these zones; in no zone, when none is named."""
        every = [zone.name for regions in RegionsAndZonesBackend.zones.values() for zone in regions]
        self.sold_out |= {(instance_type, zone) for zone in zones or every}

    @contextlib.contextmanager
    def limited(self) -> Iterator[None]:
        """Makes the emulated EC2 API obey while the context lasts."""
        with replaced(
            {
                (InstanceBackend, "run_instances"): self._around_run(InstanceBackend.__dict__["run_instances"]),
                (InstanceBackend, "start_instances"): self._around_start(InstanceBackend.__dict__["start_instances"]),
                (EC2Response, "create_capacity_reservation"): lambda response: self._create(response),
                (EC2Response, "describe_capacity_reservations"): lambda response: self._describe(response),
                (EC2Response, "cancel_capacity_reservation"): lambda response: self._cancel(response),
                (EC2Response, "get_spot_placement_scores"): lambda response: self._score(response),
            }
        ):
            yield

    def _around_run(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def run_instances(backend: Any, *given: Any, **more: Any) -> Any:
            subnet = backend.get_subnet(more["subnet_id"]) if more.get("subnet_id") else None
            zone = subnet.availability_zone if subnet else more.get("placement") or f"{backend.region_name}a"
            # moto passes on the MarketType alone, and the other for RequestSpotInstances.
            spot = "spot" in (more.get("instance_market_options"), more.get("lifecycle"))
            place = self._take(backend, more["instance_type"], zone, spot=spot)
            launched = original(backend, *given, **more)
            if place:
                place.instances += launched.instances
            return launched

        return run_instances

    def _around_start(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def start_instances(backend: Any, instance_ids: list[str]) -> Any:
            for instance in backend.get_multi_instances_by_id(instance_ids):
                if instance.state in ALIVE:
                    continue
                place = self._take(backend, instance.instance_type, instance.placement.zone, spot=False)
                if place:
                    place.instances.append(instance)
            return original(backend, instance_ids)

        return start_instances

    def _take(self, backend: Any, instance_type: str, zone: str, *, spot: bool) -> Reservation | None:
        """The free reservation that the instance stands in. Raises EC2's error without quota or capacity for it.

        An instance in a reservation takes nothing of the quota, because the reservation has.
        """
        matching = (
            one for one in self.reservations if one.is_free and (one.instance_type, one.zone) == (instance_type, zone)
        )
        place = None if spot else next(matching, None)
        if place is None and self._is_beyond_quota(backend, instance_type, spot=spot):
            raise _no_quota(spot=spot)
        if place is None and (instance_type, zone) in self.sold_out:
            raise _no_capacity(instance_type, zone, spot=spot)
        return place

    def _is_beyond_quota(self, backend: Any, instance_type: str, *, spot: bool) -> bool:
        """Whether one more instance of the type takes more vCPUs than the account's quota of its kind has."""
        kind = quota_kind(instance_type, spot=spot)
        if kind is None or kind.code not in self._quotas or instance_type not in EVERY_TYPE:
            return False
        counted = [(one.instance_type, one.lifecycle == "spot") for one in _running(backend)]
        counted += [(one.instance_type, False) for one in self.reservations if one.is_free]
        types = [instance_type, *(name for name, is_spot in counted if kind.counts(name, spot=is_spot))]
        taken: int = sum(EVERY_TYPE[name]["VCpuInfo"]["DefaultVCpus"] for name in types)
        return taken > self._quotas[kind.code]

    # moto calls what follows as methods of its own class.

    def _create(self, response: Any) -> ActionResult:
        instance_type, zone = response._get_param("InstanceType"), response._get_param("AvailabilityZone")
        others = {
            "InstancePlatform": "Linux/UNIX",
            "InstanceCount": 1,
            "EndDateType": "limited",
            "InstanceMatchCriteria": "open",
            "Tenancy": "default",
        }
        for name, value in others.items():
            if response._get_param(name) != value:
                raise EC2ClientError("InvalidParameterValue", f"The local cloud does not emulate another {name}")
        offered = response.ec2_backend.describe_instance_type_offerings("availability-zone")
        if (instance_type, zone) not in {(one["InstanceType"], one["Location"]) for one in offered}:
            raise EC2ClientError(
                "Unsupported", "The requested configuration is currently not supported. Please check the documentation."
            )
        if self._is_beyond_quota(response.ec2_backend, instance_type, spot=False):
            raise EC2ClientError(
                "InstanceLimitExceeded", "Your requested instance count exceeds your On-Demand Instance limit."
            )
        running = [one for one in _running(response.ec2_backend) if one.lifecycle != "spot"]
        taken = {one.id for reservation in self.reservations for one in reservation.instances}
        absorbed = [one for one in running if (one.instance_type, one.placement.zone) == (instance_type, zone)]
        absorbed = [one for one in absorbed if one.id not in taken][:1]
        if not absorbed and (instance_type, zone) in self.sold_out:
            raise EC2ClientError("InsufficientInstanceCapacity", "Insufficient capacity.")
        ends_at = response._get_param("EndDate").replace(tzinfo=UTC)  # moto reads it without its zone
        tags = [tag for one in response._get_param("TagSpecifications", []) for tag in one["Tags"]]
        made = Reservation(instance_type, zone, ends_at, tags, instances=absorbed)
        self.reservations.append(made)
        return ActionResult({"CapacityReservation": made.described()})

    def _describe(self, response: Any) -> ActionResult:
        found = [one.described() for one in self.reservations]
        for one in response._get_param("Filters", []):
            name, values = one["Name"], one["Values"]
            if name == "state":
                found = [each for each in found if each["State"] in values]
            elif name.startswith("tag:"):
                wanted = [{"Key": name.removeprefix("tag:"), "Value": value} for value in values]
                found = [each for each in found if any(tag in each["Tags"] for tag in wanted)]
            else:
                raise EC2ClientError("InvalidParameterValue", f"The local cloud does not emulate the filter {name}")
        return ActionResult({"CapacityReservations": found})

    def _cancel(self, response: Any) -> ActionResult:
        name = response._get_param("CapacityReservationId")
        for one in self.reservations:
            if one.id == name and one.state == "active":
                one.cancelled = True
                return ActionResult({"Return": True})
        raise EC2ClientError(
            "InvalidCapacityReservationId.NotFound", f"The capacity reservation '{name}' does not exist"
        )

    def _score(self, response: Any) -> ActionResult:
        types = response._get_param("InstanceTypes", [])
        best = 9 if len(types) >= 3 else LOW
        zones = RegionsAndZonesBackend.zones[response.ec2_backend.region_name]
        scores = [
            {
                "Region": zone.region_name,
                "AvailabilityZoneId": zone.zone_id,
                "Score": 1 if all((name, zone.name) in self.sold_out for name in types) else best,
            }
            for zone in zones
        ]
        return ActionResult({"SpotPlacementScores": scores})


def _running(backend: Any) -> list[Any]:
    return [one for one in backend.all_instances() if one.state in ALIVE]


def _no_capacity(instance_type: str, zone: str, *, spot: bool) -> EC2ClientError:
    code = "InsufficientInstanceCapacity"
    if spot:
        return EC2ClientError(code, "There is no Spot capacity available that matches your request.")
    return EC2ClientError(
        code,
        f"We currently do not have sufficient {instance_type} capacity in the Availability Zone you requested "
        f"({zone}).",
    )


def _no_quota(*, spot: bool) -> EC2ClientError:
    if spot:
        return EC2ClientError("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    return EC2ClientError(
        "VcpuLimitExceeded",
        "You have requested more vCPU capacity than your current vCPU limit allows for the instance bucket that the "
        "specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an "
        "adjustment to this limit.",
    )
