"""What a bucket's policy denies, its conditions too, whoever asks and whether or not IAM is enforced.

moto takes a statement with conditions as if it had none, so that "deny everything that does not come over TLS" denies
everything. It asks no policy about uploads in parts, and answers 403 without a code.
Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuAndPermissions.html
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlparse

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response

from scripts.local.aws.policy_conditions import hold
from scripts.local.aws.replaced import replaced

# This machine stands for an endpoint that is reached over TLS.
EVERY_REQUEST = {"aws:securetransport": "true"}
HEADERS = ("if-match", "if-none-match")
# What the product's policies ask for. tests/local_cloud/test_what_is_emulated.py holds it against the templates.
CONDITIONS = {
    ("Bool", "aws:SecureTransport"),
    ("Bool", "s3:ObjectCreationOperation"),
    ("Null", "s3:if-match"),
    ("Null", "s3:if-none-match"),
}
DENIED = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
_request = threading.local()


@contextlib.contextmanager
def bucket_policies() -> Iterator[None]:
    """Obeys them while the context lasts."""
    with replaced({(FakeBucket, "get_permission"): _get_permission, (S3Response, "_key_response"): _key_response}):
        yield


_moto_answers = S3Response._key_response


def _key_response(response: Any, request: Any, full_url: str) -> Any:
    """Answers a request about one object, once it is known who asks for what under which conditions."""
    query = parse_qs(urlparse(full_url).query, keep_blank_values=True)
    _request.context = context_of(request.method, query, request.headers)
    try:
        bucket = response.backend.buckets.get(response.parse_bucket_name_from_url(request, full_url))
        if bucket and "s3:objectcreationoperation" in _request.context:
            object_arn = f"arn:{bucket.partition}:s3:::{bucket.name}/{response.parse_key_name()}"
            if _get_permission(bucket, "s3:PutObject", object_arn) == PermissionResult.DENIED:
                return 403, {}, DENIED
        return _moto_answers(response, request, full_url)
    finally:
        _request.context = EVERY_REQUEST


def context_of(method: str, query: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, str]:
    """The keys that a request has for conditions, in small letters: IAM does not tell them apart.

    Which writes create an object is said only of those that need the right s3:PutObject: the beginning of an upload in
    parts and each part do, and create none.
    """
    context = dict(EVERY_REQUEST)
    in_parts = "uploads" in query or "partNumber" in query
    if in_parts or (method == "POST" and "uploadId" in query) or (method == "PUT" and _is_content(query)):
        context["s3:objectcreationoperation"] = str(not in_parts).lower()
        context |= {f"s3:{name}": headers[name] for name in HEADERS if name in headers}
    return context


def _is_content(query: Mapping[str, Any]) -> bool:
    return not {"acl", "tagging", "retention", "legal-hold"} & query.keys()


def conditions_in(statements: Iterable[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """The operators of the statements' conditions, each with a key."""
    return {
        (operator, key)
        for statement in statements
        for operator, keys in statement.get("Condition", {}).items()
        for key in keys
    }


def _get_permission(bucket: Any, action: str, resource: str) -> Any:
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(bucket.policy)
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    unknown = conditions_in(statements) - CONDITIONS
    if unknown:
        raise ValueError(f"The local cloud does not emulate these conditions of a bucket's policy: {unknown}")
    context = getattr(_request, "context", EVERY_REQUEST)
    policy["Statement"] = [
        {name: part for name, part in statement.items() if name != "Condition"}
        for statement in statements
        if hold(statement.get("Condition", {}), context, of=("aws:", "s3:"))
    ]
    return IAMPolicy(json.dumps(policy)).is_action_permitted(action, resource)
