"""Which rights the instances have used."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.iam.access_control import AssumedRoleAccessKey, IAMRequestBase

from scripts.local.aws.replaced import replaced


@dataclass
class Rights:
    """What was asked of the emulated IAM: role, action, resource."""

    asked: list[tuple[str, str, str]] = field(default_factory=list)

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Takes note of every request by a role while the context lasts."""
        original: Callable[..., Any] = IAMRequestBase.check_action_permitted

        def check_action_permitted(request: Any, resource: str) -> Any:
            if isinstance(request._access_key, AssumedRoleAccessKey):
                self.asked.append((request._access_key._owner_role_name, request._action, resource))
            return original(request, resource)

        with replaced({(IAMRequestBase, "check_action_permitted"): check_action_permitted}):
            yield

    def of(self, role: str) -> set[tuple[str, str]]:
        """The actions and resources that a role has asked for."""
        return {(action, resource) for asking, action, resource in self.asked if asking == role}
