"""The emulated types: those of this folder, and those that are left to moto."""

from __future__ import annotations

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources import (
    bucket,
    identity,
    instance,
    launch_template,
    moto_types,
    network,
    queue,
    scaling_group,
    security_group,
    topic,
    watching,
)
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


def _name_only(account: Account, wanted: Wanted) -> Resource:
    """The CDK's metadata says which constructs were used; it is a resource in name only."""
    return Resource(wanted.name())


def _nothing(account: Account, resource: Resource) -> None:
    """Deletes nothing."""


OURS: dict[str, ResourceType] = {
    **bucket.TYPES,
    **identity.TYPES,
    **instance.TYPES,
    **launch_template.TYPES,
    **network.TYPES,
    **queue.TYPES,
    **scaling_group.TYPES,
    **security_group.TYPES,
    **topic.TYPES,
    **watching.TYPES,
    "AWS::CDK::Metadata": ResourceType(_name_only, _nothing, replaced_by=frozenset()),
}
NAMES = OURS.keys() | moto_types.NAMES


def resource_type(name: str) -> ResourceType:
    """How resources of a type are made. Raises `ValueError` for a type that is not emulated: never silence."""
    if name not in NAMES:
        raise ValueError(f"The local cloud does not emulate {name}")
    return OURS.get(name) or moto_types.moto_type(name)


def takes_long(name: str) -> bool:
    """Whether resources of a type are made and deleted while others are. False for a type that is not emulated."""
    return name in OURS and OURS[name].takes_long
