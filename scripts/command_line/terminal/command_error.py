"""The one way in which a command fails: a sentence to a person, and an exit status."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import boto3.exceptions
import botocore.exceptions

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
POLICIES = "docs/threat-model.md"


class CommandError(Exception):
    """What failed, why, and what to do next. `exit_status` is 1, or 2 for misuse of the command."""

    def __init__(self, message: str, *, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status


@contextmanager
def aws_errors_in_words(doing: str) -> Iterator[None]:
    """Turns an error of AWS into a sentence, in which `doing` completes "Could not ...". Raises `CommandError`."""
    try:
        yield
    except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as error:
        raise CommandError(
            f"Could not {doing}: no AWS credentials were found. Log in with `aws configure` or `aws sso login`."
        ) from error
    except botocore.exceptions.NoRegionError as error:
        raise CommandError(
            f"Could not {doing}: no AWS region is set. Name one: --region us-east-1, or `aws configure`."
        ) from error
    except botocore.exceptions.InvalidRegionError as error:
        raise CommandError(f"Could not {doing}: {str(error).rstrip('.')}. Name one: --region us-east-1.") from error
    except botocore.exceptions.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        message = ENCODED.sub("", error.response.get("Error", {}).get("Message", ""))
        if DENIED.search(code):
            step = f" {_missing_right(error.operation_name, message)}"
        else:
            step = next((f" {step}" for pattern, step in NEXT.items() if re.search(pattern, code)), "")
        raise CommandError(f"Could not {doing}: AWS says {code}: {message.rstrip('.')}.{step}") from error
    except (botocore.exceptions.SSOError, botocore.exceptions.TokenRetrievalError) as error:
        raise CommandError(f"Could not {doing}: {str(error).rstrip('.')}. Log in again: `aws sso login`.") from error
    except botocore.exceptions.HTTPClientError as error:
        raise CommandError(
            f"Could not {doing}: {str(error).rstrip('.')}. Look at the region's name, at this machine's network, and "
            "at HTTPS_PROXY."
        ) from error
    except (botocore.exceptions.BotoCoreError, boto3.exceptions.Boto3Error) as error:
        raise CommandError(f"Could not {doing}: {str(error).rstrip('.')}.") from error


def _missing_right(operation: str, message: str) -> str:
    """Which right is missing, and what to do. AWS names it in most refusals; S3 names none where no body comes."""
    named = ACTION.search(message)
    right = f"the right {named[1]}" if named else f"a right to call {operation}"
    return (
        f"You lack {right}: {POLICIES} has policies with all that `sd` needs. Ask whoever runs the account for it, or "
        "take another profile: --profile NAME."
    )
