"""Decides what a bucket's policy allows, without the statements that have conditions."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket

from scripts.local.aws.replaced import replaced


@contextlib.contextmanager
def conditions_passed_over() -> Iterator[None]:
    """Ignores a policy's statements with conditions while the context lasts.

    moto takes them as if they had none, so that "deny everything that does not come over TLS" denies everything.
    """
    with replaced({(FakeBucket, "get_permission"): _get_permission}):
        yield


def _get_permission(bucket: Any, action: str, resource: str) -> Any:
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(bucket.policy)
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    policy["Statement"] = [statement for statement in statements if not statement.get("Condition")]
    return IAMPolicy(json.dumps(policy)).is_action_permitted(action, resource)
