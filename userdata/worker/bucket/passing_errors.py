"""Which of AWS's errors pass by themselves."""

from __future__ import annotations

from botocore.exceptions import (
    ClientError,
    ConnectionError,  # not Python's own
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
)


def passes(error: BaseException | None) -> bool:
    """Whether botocore itself would have gone on trying, had it not used up its attempts or its quota.

    That is: the network is away, or the service is busy or in trouble. Its own attempts are for blips: since its first
    pause after a 503 is 0.05 s at most, even ten of them are over within seconds.
    """
    if isinstance(error, ClientError):
        metadata = error.response.get("ResponseMetadata", {})
        return "MaxAttemptsReached" in metadata or "RetryQuotaReached" in metadata
    return isinstance(error, (ConnectionError, CredentialRetrievalError, HTTPClientError, IncompleteReadError))
