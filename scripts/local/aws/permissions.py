"""What moto's IAM refuses, once it is enforced: what AWS would."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.iam.access_control import IAMPolicy, IAMPolicyStatement, IAMRequestBase, PermissionResult

from scripts.local.aws.named_resources import NAMED, Named
from scripts.local.aws.policy_conditions import PREFIX, TAG, hold
from scripts.local.aws.replaced import replaced

# What IAM calls a service that signs requests by another name.
IN_POLICIES = {"monitoring": "cloudwatch", "tagging": "tag"}


@contextlib.contextmanager
def permissions_enforced() -> Iterator[None]:
    """Checks signatures and policies of every request while the context lasts.

    AWS's own managed policies allow what they allow there. Told apart are objects and buckets, as moto does, and
    `NAMED` resources; of everything else a policy must allow all.
    """
    before = settings.INITIAL_NO_AUTH_ACTION_COUNT
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    ActionAuthenticatorMixin.request_count = 0
    try:
        with replaced(
            {
                (IAMRequestBase, "check_action_permitted"): _check_action_permitted,
                (IAMRequestBase, "_create_aws_request"): _as_it_was_signed,
                (IAMRequestBase, "_check_role_trust_relationship"): _is_trusted,
                (IAMPolicyStatement, "is_action_permitted"): _if_conditions_hold,
                **{(responses, "_determine_resource"): _determine(named) for responses, named in NAMED.items()},
            }
        ):
            yield
    finally:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = before


_moto_checks = IAMRequestBase.check_action_permitted


def _check_action_permitted(request: Any, resource: str) -> None:
    """Asks for the action by IAM's name.

    Who may send a message to a queue may send several at once, and so on: IAM knows no right of that name, and none for
    a look at a bucket. Whoever makes a schedule hands a role over. Sources:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html,
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html and
    https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html
    """
    service, _, name = request._action.partition(":")
    if service == "sqs":
        name = name.removesuffix("Batch")
    if name == "HeadBucket":
        name = "ListBucket"
    request._action = f"{IN_POLICIES.get(service, service)}:{name}"
    try:
        _moto_checks(request, resource)
        if request._action in ("scheduler:CreateSchedule", "scheduler:UpdateSchedule"):
            request._action = "iam:PassRole"
            _moto_checks(request, json.loads(request._body)["Target"]["RoleArn"])
    finally:
        _request.context = {}


_moto_builds = IAMRequestBase._create_aws_request


def _as_it_was_signed(request: Any) -> Any:
    """The request, of which moto takes the query for its body, too."""
    if request._method in ("GET", "DELETE"):
        request._data = {}
    return _moto_builds(request)


_moto_trusts = IAMRequestBase._check_role_trust_relationship


def _is_trusted(request: Any, role_arn: str) -> bool:
    """Whether a role trusts the caller, or the caller's account: then the account's own policies decide.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    if _moto_trusts(request, role_arn):
        return True
    trusted = IAMPolicy(request.backend.get_role_by_arn(role_arn).assume_role_policy_document)
    start, _, account = role_arn.rpartition(":role/")[0].rpartition(":")
    return any(
        trusted.is_action_permitted(request._action, role_arn, name) == PermissionResult.PERMITTED
        for name in (account, f"{start}:{account}:root")
    )


_request = threading.local()
MOTO_S_PERMITTED = IAMPolicyStatement.is_action_permitted


def context_here() -> dict[str, str]:
    """What the keys of conditions say of the request that is being checked in this thread."""
    return dict(getattr(_request, "context", {}))


def allows(policy: IAMPolicy, action: str, resource: str, context: Mapping[str, str]) -> bool:
    """Whether a policy by itself allows an action on a resource, with those keys."""
    _request.context = context
    return bool(policy.is_action_permitted(action, resource) == PermissionResult.PERMITTED)


def _determine(named: Callable[[Any], Named]) -> Callable[[Any], str]:
    def resource_of(request: Any) -> str:
        # moto asks for the ARN in the thread and just before it asks the policies.
        resource, _request.context = named(request)
        return resource

    return resource_of


def _if_conditions_hold(statement: Any, *given: Any, **more: Any) -> Any:
    conditions = statement._statement.get("Condition") or {}
    if not hold(conditions, context_here(), of=(PREFIX, TAG)):
        return PermissionResult.NEUTRAL
    return MOTO_S_PERMITTED(statement, *given, **more)
