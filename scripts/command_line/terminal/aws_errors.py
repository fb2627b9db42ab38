"""Errors of AWS as sentences: what AWS says, and what to do about it."""

from __future__ import annotations

import re

import boto3.exceptions
from botocore import exceptions as aws
from botocore.parsers import ResponseParserError

# What to do about AWS's refusals, by their codes: each service has its own.
NEXT = {
    r"Expired|TokenRefreshRequired": "Log in again: `aws sso login`, or `aws configure` with new keys.",
    r"TimeTooSkewed|RequestInTheFuture": "Set this machine's clock.",
    r"Signature|InvalidClientTokenId|UnrecognizedClient|AuthFailure|InvalidAccessKeyId|IncompleteSignature": (
        "Look at this machine's clock, then at the keys: `aws configure list`."
    ),
    r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown": "Try again in a minute.",
}
DENIED = re.compile(r"AccessDenied|Unauthorized|NotAuthorized|OptInRequired|403")
ACTION = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z]+)")
# EC2's own account of a refusal, 400 letters and more, which takes another right to read.
ENCODED = re.compile(r"\s*Encoded authorization failure message: \S+")
LOOK = "Look at the region's name, at this machine's network, and at HTTPS_PROXY and AWS_ENDPOINT_URL"
POLICIES = "docs/threat-model.md"


def in_words(error: Exception) -> str | None:
    """What went wrong, and the next step; None for an error that is none of AWS or of its library."""
    if isinstance(error, (aws.NoCredentialsError, aws.PartialCredentialsError)):
        return "no AWS credentials were found. Log in with `aws configure` or `aws sso login`."
    if isinstance(error, aws.NoRegionError):
        return "no AWS region is set. Name one: --region us-east-1, or `aws configure`."
    said = str(error).rstrip(".")
    if isinstance(error, aws.InvalidRegionError):
        return f"{said}. Name one: --region us-east-1."
    if isinstance(error, aws.ClientError):
        return _refusal_in_words(error)
    if isinstance(error, (aws.SSOError, aws.TokenRetrievalError)):
        return f"{said}. Log in again: `aws sso login`."
    if isinstance(error, ResponseParserError):
        return f"something else than AWS has answered, as a network's login page does. {LOOK}."
    if isinstance(error, (aws.HTTPClientError, aws.ConnectionError)):
        return f"{said}. {LOOK}."
    if isinstance(error, ValueError) and said.startswith("Invalid endpoint"):  # botocore's, by its words alone
        return f"{said}. It begins with https://: look at AWS_ENDPOINT_URL, and at endpoint_url in the config file."
    return f"{said}." if isinstance(error, (aws.BotoCoreError, boto3.exceptions.Boto3Error)) else None


def _refusal_in_words(error: aws.ClientError) -> str:
    code = error.response.get("Error", {}).get("Code", "")
    message = ENCODED.sub("", error.response.get("Error", {}).get("Message", ""))
    if DENIED.search(code):
        step = f" {_missing_right(error.operation_name, message)}"
    else:
        step = next((f" {step}" for pattern, step in NEXT.items() if re.search(pattern, code)), "")
    return f"AWS says {code}: {message.rstrip('.')}.{step}"


def _missing_right(operation: str, message: str) -> str:
    """Which right is missing, and what to do. AWS names it in most refusals; S3 names none where no body comes."""
    named = ACTION.search(message)
    right = f"the right {named[1]}" if named else f"a right to call {operation}"
    return (
        f"You lack {right}: {POLICIES} has policies with all that `sd` needs. Ask whoever runs the account for it, or "
        "take another profile: --profile NAME."
    )
