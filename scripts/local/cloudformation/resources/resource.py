"""What every type of resource has in common."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.models import ec2_backends

from scripts.local.aws.account import Account


@dataclass(frozen=True)
class Wanted:
    """A resource as the template wants it, everything worked out."""

    logical_id: str
    type: str
    properties: dict[str, Any]
    stack_name: str
    stack_id: str
    stack_tags: Mapping[str, str] = field(default_factory=dict)

    def name(self, longest: int = 64, alphabet: str = string.ascii_uppercase + string.digits) -> str:
        """A name that the service makes up: the stack's, the logical id, and twelve random characters."""
        ending = "-" + "".join(secrets.choice(alphabet) for _ in range(12))
        return f"{self.stack_name}-{self.logical_id}"[: longest - len(ending)] + ending

    @property
    def tags(self) -> dict[str, str]:
        """The stack's tags and the resource's own."""
        own = self.properties.get("Tags", [])
        return {**self.stack_tags, **{tag["Key"]: tag["Value"] for tag in own if isinstance(tag, dict)}}


@dataclass
class Resource:
    """A resource that exists. Its members have the names that moto's CloudFormation API asks for.

    `attributes` are what Fn::GetAtt gives: a mapping, or a function for those of moto's classes. `needs` are the
    logical ids of the resources that it depends on; `status` and `reason` are those of its last event.
    """

    physical_resource_id: str
    attributes: Callable[[str], Any] | Mapping[str, Any] = field(default_factory=dict)
    logical_resource_id: str = ""
    cf_resource_type: str = ""
    properties: dict[str, Any] = field(default_factory=dict)
    deletion_policy: str = "Delete"
    needs: frozenset[str] = frozenset()
    status: str = ""
    reason: str | None = None
    moto_object: Any = None

    def get_cfn_attribute(self, name: str) -> Any:
        """What Fn::GetAtt gives. Raises `ValueError` with the service's words for an attribute that does not exist."""
        try:
            return self.attributes(name) if callable(self.attributes) else self.attributes[name]
        except KeyError:
            raise ValueError(
                f"Template error: resource {self.logical_resource_id} does not support attribute type {name} "
                "in Fn::GetAtt"
            ) from None

    def is_created(self) -> bool:
        """For moto: no resource is known here before it is created."""
        return True


def _change_nothing(account: Account, resource: Resource, wanted: Wanted) -> None:
    """Of most small types, every change makes a new resource."""


@dataclass(frozen=True)
class ResourceType:
    """How the resources of one type are made, deleted and changed in place.

    During `update`, `resource.properties` still holds the properties before the change. A change of a property in
    `replaced_by` makes a new resource; the old one is deleted after everything else is updated. `replaced_by` None says
    so of every property but Tags. `properties` are those that the functions read; None where they hand all of them on,
    so that moto refuses what it does not know. What `takes_long` is made and deleted while others are.
    """

    create: Callable[[Account, Wanted], Resource]
    delete: Callable[[Account, Resource], None]
    update: Callable[[Account, Resource, Wanted], None] = _change_nothing
    replaced_by: frozenset[str] | None = None
    properties: frozenset[str] | None = None
    takes_long: bool = False

    def check(self, wanted: Wanted) -> None:
        """Raises `ValueError` for a property that is not emulated: never silence."""
        unknown = sorted(wanted.properties.keys() - (self.properties or wanted.properties.keys()) - {"Tags"})
        if unknown:
            raise ValueError(f"The local cloud does not emulate {', '.join(unknown)} of {wanted.type}")

    def is_replaced(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        """Whether the change from one set of properties to the other needs a new resource."""
        changed = {name for name in {*before, *after} if before.get(name) != after.get(name)} - {"Tags"}
        return bool(changed if self.replaced_by is None else changed & self.replaced_by)


def tag_ec2(account: Account, physical_id: str, wanted: Wanted, before: Mapping[str, Any]) -> None:
    """Tags a resource of EC2 with its own tags, the stack's, and those that the service adds.

    Takes away the tags in the properties `before`, and none that came from elsewhere. Past the API, which keeps names
    that begin with aws: to itself.
    """
    tags = {
        **wanted.tags,
        "aws:cloudformation:stack-name": wanted.stack_name,
        "aws:cloudformation:stack-id": wanted.stack_id,
        "aws:cloudformation:logical-id": wanted.logical_id,
    }
    backend = ec2_backends[account.id][account.region]
    backend.delete_tag_keys([physical_id], [tag["Key"] for tag in before.get("Tags", []) if tag["Key"] not in tags])
    backend.create_tags([physical_id], tags)
