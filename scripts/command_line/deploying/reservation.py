"""Holds capacity until the instance stands in it. EC2 says within seconds whether it has any to give.

A capacity reservation is billed like the instance that it waits for, by the second, and costs nothing more while that
instance stands in it. Its vCPUs count in the quota of running instances as soon as it is there; those of the instance
in it do not count once more. `open` needs no change of the instance: type, platform, tenancy and zone must be alike.
Sources: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-reservations.html and the pages below it.

Rejected: a dry run of RunInstances, which asks for rights and parameters alone, and an instance launched only to see
whether there is one, which is billed for a minute and holds nothing.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from rich.console import Console

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.command_line.terminal.plain_text import print_plain
from stacks.facts.tag_names import HOLDER_TAG, PROJECT, PROJECT_TAG, STACK_TAG
from userdata.contract.outside import read_whole
from userdata.worker.bucket.passing_errors import AWS_ERRORS

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# Longer than a first deploy takes until the instance is launched: synthesis, uploads, and roles that take minutes. AWS
# documents no shortest time; a shorter one would save little of the hour below, and a slow deploy would lose its place.
HELD = timedelta(minutes=10)
MOST_PROCESSES = 2**31 - 1  # that a computer counts
# "The Capacity Reservation is cancelled within an hour from the specified time."
# Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateCapacityReservation.html, EndDate
ENDS_WITHIN = timedelta(hours=1)
# EC2 answers a lack of capacity as an error of its own (500), which the SDK would ask for again and again.
ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"})


@dataclass(frozen=True)
class Reservation:
    """A reservation: its id, when EC2 has ended it at the latest, and whether it holds a place for a new instance.

    It holds none where another instance of the account, which runs already, has taken the place.
    """

    id: str
    gone_by: datetime
    is_free: bool


@contextmanager
def hold(
    session: boto3.Session, *, stack: str, instance_type: str, zone: str, ami: str | None = None, console: Console
) -> Iterator[Reservation]:
    """Reserves capacity for one instance, and cancels the reservation at the end, however that comes.

    `ami` is an image of somebody's own, which may be billed as another platform than the usual one.

    Raises botocore's `ClientError` when EC2 does not give it. A kill that nothing can catch leaves the reservation: it
    ends by itself, and the next call for this stack on this computer cancels it.
    """
    client: EC2Client = session.client("ec2", config=ONCE)
    tagged = {PROJECT_TAG: PROJECT, STACK_TAG: stack, HOLDER_TAG: f"{_computer()}:{os.getpid()}"}
    tags: Any = [{"Key": name, "Value": value} for name, value in tagged.items()]
    ends_at = datetime.now(UTC) + HELD
    made = client.create_capacity_reservation(
        InstanceType=instance_type,
        AvailabilityZone=zone,
        InstancePlatform=_platform(client, ami),
        Tenancy="default",
        InstanceCount=1,
        InstanceMatchCriteria="open",
        EndDateType="limited",
        EndDate=ends_at,
        TagSpecifications=[{"ResourceType": "capacity-reservation", "Tags": tags}],
    )["CapacityReservation"]
    # For some minutes EC2 may call a reservation pending that can be launched into already.
    taken = made.get("State") == "active" and made.get("AvailableInstanceCount") == 0
    try:
        yield Reservation(made["CapacityReservationId"], ends_at + ENDS_WITHIN, is_free=not taken)
    finally:
        _cancel(session, made["CapacityReservationId"], console)


def _platform(client: EC2Client, ami: str | None) -> Any:
    if ami is None:
        return "Linux/UNIX"
    return client.describe_images(ImageIds=[ami])["Images"][0]["PlatformDetails"]


def cancel_leftovers(session: boto3.Session, stack: str, console: Console) -> None:
    """Cancels what an earlier call for this stack could not, and says so. Without the right to look, does nothing.

    What another deploy holds at this moment is left to it, and told, because it counts in the quota.
    """
    try:
        left = reservations(session.client("ec2", config=RETRIES), {PROJECT_TAG: PROJECT, STACK_TAG: stack})
    except AWS_ERRORS:
        return
    for one in left:
        name = one["CapacityReservationId"]
        if not _is_left(one):
            print_plain(f"{name} is left alone: another deploy for {stack} holds it.", console)
        elif _cancel(session, name, console):
            print_plain(f"Cancelled {name}, which an earlier call held.", console)


def _is_left(reservation: Any) -> bool:
    """Whether no deploy needs it: its time is over, or the process of this computer that made it has ended.

    Another computer cannot be asked, so that what a deploy there has left goes ten minutes after it began.
    """
    if reservation["EndDate"] <= datetime.now(UTC):
        return True
    tags = {tag["Key"]: tag["Value"] for tag in reservation["Tags"]}
    import psutil  # here, because most deploys find no reservation

    computer, _, process = tags.get(HOLDER_TAG, "").partition(":")
    try:
        return computer == _computer() and not psutil.pid_exists(read_whole(process, most=MOST_PROCESSES))
    except ValueError:
        return False  # a tag that somebody else has written


def _computer() -> str:
    """A name for this computer that tells nobody its own."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:16]


def reservations(ec2: EC2Client, tags: dict[str, str]) -> list[Any]:
    """The capacity reservations with these tags that EC2 bills, as EC2 describes them."""
    filters = [{"Name": f"tag:{name}", "Values": [value]} for name, value in tags.items()]
    filters += [{"Name": "state", "Values": ["active", "pending"]}]
    pages = ec2.get_paginator("describe_capacity_reservations").paginate(Filters=filters)  # type: ignore[arg-type]
    return [one for page in pages for one in page["CapacityReservations"]]


def _cancel(session: boto3.Session, name: str, console: Console) -> bool:
    """Cancels a reservation, and returns whether it is gone.

    Says what to type where that fails, because it must not hide how the deploy ended.
    """
    try:
        with aws_errors_in_words(f"cancel the capacity reservation {name}"):
            session.client("ec2", config=RETRIES).cancel_capacity_reservation(CapacityReservationId=name)
    except CommandError as error:
        if "NotFound" not in str(error):
            command = f"`aws ec2 cancel-capacity-reservation --capacity-reservation-id {name}`"
            print_plain(f"{error} It costs money until it ends by itself: {command}", console, soft_wrap=True)
            return False
    return True
