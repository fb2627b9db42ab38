"""Makes the emulated account refuse what IAM does not allow."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.ssm.responses import SimpleSystemManagerResponse

from scripts.local.aws.replaced import replaced


@contextlib.contextmanager
def permissions_enforced() -> Iterator[None]:
    """Checks signatures and policies of every request while the context lasts.

    AWS's own managed policies allow nothing here, and conditions in policies are passed over. Resources are told apart
    for S3, as moto does, and for Parameter Store; of every other service a policy must allow all.
    """
    before = settings.INITIAL_NO_AUTH_ACTION_COUNT
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    ActionAuthenticatorMixin.request_count = 0
    try:
        with replaced({(SimpleSystemManagerResponse, "_determine_resource"): _parameter_arn}):
            yield
    finally:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = before


def _parameter_arn(request: Any) -> str:
    """The ARN that a request to Parameter Store names, in the form in which moto asks its services for it."""
    name = json.loads(request.body or "{}").get("Name")
    if not name:
        return "*"
    return f"arn:{request.partition}:ssm:{request.region}:{request.current_account}:parameter/{name.lstrip('/')}"
