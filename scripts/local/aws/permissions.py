"""What moto's IAM refuses: less by a bucket's policy than it would by itself, and more when IAM is enforced."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.iam.access_control import IAMPolicy, IAMRequestBase, PermissionResult
from moto.s3.models import FakeBucket
from moto.sqs.responses import SQSResponse
from moto.ssm.responses import SimpleSystemManagerResponse

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


@contextlib.contextmanager
def permissions_enforced() -> Iterator[None]:
    """Checks signatures and policies of every request while the context lasts.

    AWS's own managed policies allow what they allow there. Resources are told apart for S3, as moto does, for Parameter
    Store and for SQS; of every other service a policy must allow all.
    """
    before = settings.INITIAL_NO_AUTH_ACTION_COUNT
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    ActionAuthenticatorMixin.request_count = 0
    try:
        with replaced(
            {
                (IAMRequestBase, "check_action_permitted"): _check_action_permitted,
                (SimpleSystemManagerResponse, "_determine_resource"): _parameter_arn,
                (SQSResponse, "_determine_resource"): _queue_arn,
            }
        ):
            yield
    finally:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = before


_moto_checks = IAMRequestBase.check_action_permitted


def _check_action_permitted(request: Any, resource: str) -> None:
    """Who may send a message to a queue may send several at once, and so on: IAM knows no right of that name.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
    """
    if request._action.startswith("sqs:"):
        request._action = request._action.removesuffix("Batch")
    _moto_checks(request, resource)


def _parameter_arn(request: Any) -> str:
    """The ARN that a request to Parameter Store names, in the form in which moto asks its services for it."""
    name = json.loads(request.body or "{}").get("Name")
    if not name:
        return "*"
    return f"arn:{request.partition}:ssm:{request.region}:{request.current_account}:parameter/{name.lstrip('/')}"


def _queue_arn(request: Any) -> str:
    """The ARN of the queue that a request names, by its address or, as GetQueueUrl does, by its name."""
    asked = json.loads(request.body or "{}")
    name = asked.get("QueueName") or asked.get("QueueUrl", "").rpartition("/")[2]
    return f"arn:{request.partition}:sqs:{request.region}:{request.current_account}:{name}" if name else "*"
