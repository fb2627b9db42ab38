"""Instances and what they leave: disks, snapshots, images, addresses, spot requests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scripts.command_line.account.instance import GONE
from scripts.command_line.deploying.reservation import ENDS_WITHIN, reservations
from scripts.command_line.ending.audit.leftover import OURS, Leftover, is_ours, stack_of, tags_of
from scripts.command_line.ending.audit.rates import MonthlyRates
from stacks.facts.tag_names import PROJECT, PROJECT_TAG
from userdata.bill.units import HOURS_PER_MONTH

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def instances(ec2: EC2Client, rates: MonthlyRates) -> Iterator[Leftover]:
    """Instances that are not terminated. A stopped instance costs only its disk, which is listed by itself."""
    for page in ec2.get_paginator("describe_instances").paginate(Filters=OURS):  # type: ignore[arg-type]
        for reservation in page["Reservations"]:
            for instance in reservation["Instances"]:
                state, kind = instance["State"]["Name"], instance["InstanceType"]
                if state in GONE:
                    continue
                running = state in ("pending", "running")
                yield Leftover(
                    "instance",
                    instance["InstanceId"],
                    f"{kind}, {state}",
                    rates.instance(kind) if running else 0.0,
                    f"aws ec2 terminate-instances --instance-ids {instance['InstanceId']}",
                    stack_of(tags_of(instance.get("Tags", []))),
                )


def capacity_reservations(ec2: EC2Client, rates: MonthlyRates) -> Iterator[Leftover]:
    """Reservations of a deploy that was killed. They end by themselves; the costs are those until then, at most.

    They belong to no stack, because also one whose stack stands is left over.
    """
    for one in reservations(ec2, {PROJECT_TAG: PROJECT}):
        gone_by = one["EndDate"] + ENDS_WITHIN
        hours = max(0.0, (gone_by - datetime.now(UTC)).total_seconds() / 3600) * one["AvailableInstanceCount"]
        month = rates.instance(one["InstanceType"])
        yield Leftover(
            "capacity reservation",
            one["CapacityReservationId"],
            f"{one['InstanceType']}, ends by itself by {gone_by:%H:%M} UTC",
            None if month is None else month / HOURS_PER_MONTH * hours,
            f"aws ec2 cancel-capacity-reservation --capacity-reservation-id {one['CapacityReservationId']}",
        )


def volumes(ec2: EC2Client, rates: MonthlyRates) -> Iterator[Leftover]:
    """Disks, attached or not: both cost the same."""
    for page in ec2.get_paginator("describe_volumes").paginate(Filters=OURS):  # type: ignore[arg-type]
        for volume in page["Volumes"]:
            if volume["State"] in ("deleting", "deleted"):
                continue
            kind = volume.get("VolumeType", "gp3")
            yield Leftover(
                "volume",
                volume["VolumeId"],
                f"{volume['Size']} GiB {kind}, {volume['State']}",
                rates.volume(kind, volume["Size"]),
                f"aws ec2 delete-volume --volume-id {volume['VolumeId']}",
                stack_of(tags_of(volume.get("Tags", []))),
            )


def snapshots(ec2: EC2Client, rates: MonthlyRates) -> Iterator[Leftover]:
    """Snapshots. The disk's size is an upper bound, because a snapshot stores only what was written."""
    pages = ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=OURS)  # type: ignore[arg-type]
    for page in pages:
        for snapshot in page["Snapshots"]:
            yield Leftover(
                "snapshot",
                snapshot["SnapshotId"],
                f"of {snapshot['VolumeSize']} GiB at most",
                rates.snapshot(snapshot["VolumeSize"]),
                f"aws ec2 delete-snapshot --snapshot-id {snapshot['SnapshotId']}",
                stack_of(tags_of(snapshot.get("Tags", []))),
            )


def images(ec2: EC2Client) -> Iterator[Leftover]:
    """Machine images; their snapshots are what costs."""
    for image in ec2.describe_images(Owners=["self"], Filters=OURS)["Images"]:  # type: ignore[arg-type]
        yield Leftover(
            "image",
            image["ImageId"],
            image.get("Name", ""),
            0.0,
            f"aws ec2 deregister-image --image-id {image['ImageId']}",
            stack_of(tags_of(image.get("Tags", []))),
        )


def addresses(ec2: EC2Client, rates: MonthlyRates) -> Iterator[Leftover]:
    """Elastic addresses, which cost money until they are released."""
    for address in ec2.describe_addresses(Filters=OURS)["Addresses"]:  # type: ignore[arg-type]
        yield Leftover(
            "address",
            address["AllocationId"],
            address["PublicIp"],
            rates.address(),
            f"aws ec2 release-address --allocation-id {address['AllocationId']}",
            stack_of(tags_of(address.get("Tags", []))),
        )


def spot_requests(ec2: EC2Client, rates: MonthlyRates) -> Iterator[Leftover]:
    """Requests that may still launch an instance: open ones, and persistent ones whatever their state.

    An active one-time request belongs to its instance, which is listed by itself. Whether EC2 tags the request of an
    instance that CloudFormation launches is not documented, so that the instance's security group counts as well.
    """
    groups = {
        group["GroupId"]: tags_of(group.get("Tags", []))
        for page in ec2.get_paginator("describe_security_groups").paginate(Filters=OURS)  # type: ignore[arg-type]
        for group in page["SecurityGroups"]
    }
    for page in ec2.get_paginator("describe_spot_instance_requests").paginate():
        for request in page["SpotInstanceRequests"]:
            state, kind = request["State"], request.get("Type", "one-time")
            if state in ("closed", "cancelled", "failed") or (state == "active" and kind == "one-time"):
                continue
            launch = request.get("LaunchSpecification", {})
            of_groups = [groups.get(group.get("GroupId", ""), {}) for group in launch.get("SecurityGroups", [])]
            tags = next(filter(is_ours, [tags_of(request.get("Tags", [])), *of_groups]), None)
            if tags is None:
                continue
            instance_type = launch.get("InstanceType", "")
            yield Leftover(
                "spot request",
                request["SpotInstanceRequestId"],
                f"{kind}, {state}: may launch {instance_type or 'an instance'}",
                rates.instance(instance_type, "spot"),
                f"aws ec2 cancel-spot-instance-requests --spot-instance-request-ids {request['SpotInstanceRequestId']}",
                stack_of(tags),
            )
