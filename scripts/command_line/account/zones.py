"""The zones of a region, and which of them offer an instance type: no zone has every GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.machine_parameters import MachineParameters
from stacks.facts.model_refusal import kept_words, refusal, ways_of
from userdata.contract.catalogue import find_model
from userdata.job.job import Job

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# What a message names beside a type that is sold out: the smallest types with one card, those that cost little first.
USUAL_TYPES = ("g6.xlarge", "g5.xlarge", "g4dn.xlarge", "g6e.xlarge", "g7e.2xlarge")


def zones_offering(session: boto3.Session, instance_type: str) -> list[str]:
    """The zones that offer the type, in alphabetical order; none where the region has none. Raises `CommandError`."""
    return types_offered(session, [instance_type]).get(instance_type, [])


def types_offered(session: boto3.Session, instance_types: list[str]) -> dict[str, list[str]]:
    """For each type that the region offers at all, its zones in alphabetical order. Raises `CommandError`."""
    ec2: EC2Client = session.client("ec2", config=RETRIES)
    found: dict[str, list[str]] = {}
    with aws_errors_in_words(f"ask where {', '.join(instance_types)} is offered"):
        pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
            LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": instance_types}]
        )
        for page in pages:
            for offering in page["InstanceTypeOfferings"]:
                found.setdefault(offering["InstanceType"], []).append(offering["Location"])
    return {instance_type: sorted(zones) for instance_type, zones in found.items()}


def all_zones(session: boto3.Session) -> list[str]:
    """The region's zones in alphabetical order, local ones left out. Raises `CommandError`."""
    ec2: EC2Client = session.client("ec2", config=RETRIES)
    with aws_errors_in_words("ask for the region's zones"):
        described = ec2.describe_availability_zones(Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}])
    return sorted(zone["ZoneName"] for zone in described["AvailabilityZones"])


def choose_zone(session: boto3.Session, instance_type: str) -> str | None:
    """The setting `az` of a first deploy: the first zone that offers the type, None where `usual_zone` does.

    So `cdk deploy` alone leaves the instance where `sd deploy` put it. Raises `CommandError` when no zone offers the
    type, naming types that the region offers.
    """
    offering = zones_offering(session, instance_type)
    if not offering:
        raise CommandError(not_offered(session, instance_type))
    return None if usual_zone(session) in offering else offering[0]


def usual_zone(session: boto3.Session) -> str:
    """The zone in which `cdk deploy` puts the instance without the setting `az`. Raises `CommandError`.

    It is the first that CloudFormation names: of those with a default subnet, or of all where none has one.
    Source: AWS's page on Fn::GetAZs.
    """
    return (_zones_with_default_subnets(session) or all_zones(session))[0]


def _zones_with_default_subnets(session: boto3.Session) -> list[str]:
    ec2: EC2Client = session.client("ec2", config=RETRIES)
    with aws_errors_in_words("ask for the region's default subnets"):
        found = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    return sorted(subnet["AvailabilityZone"] for subnet in found)


def check_zone(session: boto3.Session, instance_type: str, zone: str) -> None:
    """Raises `CommandError`, with zones that do, when `zone` does not offer the type."""
    offering = zones_offering(session, instance_type)
    if zone in offering:
        return
    if not offering:
        raise CommandError(not_offered(session, instance_type))
    raise CommandError(
        f"-c az={zone}: it must be a zone of {session.region_name} that offers {instance_type} "
        f"({', '.join(offering)}), for example -c az={offering[0]}.",
        exit_status=2,
    )


def not_offered(session: boto3.Session, instance_type: str) -> str:
    """The sentence for a type that the region does not offer, with types that it offers. Raises `CommandError`."""
    region = session.region_name or "this region"
    offered = alternatives(session, instance_type)
    rule = f"InstanceType is {instance_type!r}, but must be a type that {region} offers"
    if offered:
        return f"{rule} ({', '.join(offered)}), for example --instance-type {offered[0]}."
    return f"{rule}, and {region} offers no supported GPU type. Choose another region, for example --region us-east-1."


def alternatives(session: boto3.Session, instance_type: str) -> list[str]:
    """The smallest type of each other card that the region offers, those with the least memory first."""
    smallest: dict[str, str] = {}
    for one in sorted(INSTANCE_TYPES.values(), key=lambda one: (one.vcpus, one.gpu.memory_gib)):
        if one.gpus == 1 and one.vcpus <= 8:
            smallest.setdefault(one.gpu.name, one.name)
    names = [name for name in smallest.values() if name != instance_type]
    offered = types_offered(session, names)
    return [name for name in names if name in offered]


def why_unfit(job: Job, machine: MachineParameters, instance_type: str) -> str | None:
    """Why the job's model cannot be drawn with on that type, None when it can."""
    return refusal(
        find_model(job.model),
        instance_type=instance_type,
        volume_size=machine.volume_size,
        engine=str(job.engine),
        ways=ways_of(job),
    )


def kept_in_words(job: Job, instance_type: str) -> str | None:
    """In which type the job's model is kept on that type's card, and why; None for its own."""
    return kept_words(find_model(job.model), instance_type, ways_of(job))


def types_to_try(job: Job, machine: MachineParameters) -> list[str]:
    """Three types for `--types`: the machine's own, and usual ones that the model fits."""
    names = dict.fromkeys([machine.instance_type, *USUAL_TYPES])
    return [name for name in names if not why_unfit(job, machine, name)][:3]


def spot_scores(session: boto3.Session, instance_types: list[str]) -> dict[str, int]:
    """EC2's score for a spot request of any of these types, by zone: 10 is likely, 1 is not. Raises `CommandError`.

    For one or two types every score is low; then the zones can be compared, and nothing else.
    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetSpotPlacementScores.html
    """
    ec2: EC2Client = session.client("ec2", config=RETRIES)
    with aws_errors_in_words("ask for spot placement scores (ec2:GetSpotPlacementScores)"):
        answer = ec2.get_spot_placement_scores(
            InstanceTypes=instance_types,
            TargetCapacity=1,
            SingleAvailabilityZone=True,
            RegionNames=[session.region_name],
        )
        zones = ec2.describe_availability_zones()["AvailabilityZones"]
    names = {zone["ZoneId"]: zone["ZoneName"] for zone in zones}
    scores = {one["AvailabilityZoneId"]: one["Score"] for one in answer["SpotPlacementScores"]}
    return {names[zone]: score for zone, score in scores.items() if zone in names}
