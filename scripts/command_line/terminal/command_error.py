"""The one way in which a command fails: a sentence to a person, and an exit status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions


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
    except botocore.exceptions.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        message = error.response.get("Error", {}).get("Message", "")
        raise CommandError(f"Could not {doing}: AWS says {code}: {message}") from error
    except botocore.exceptions.BotoCoreError as error:
        raise CommandError(f"Could not {doing}: {error}") from error
