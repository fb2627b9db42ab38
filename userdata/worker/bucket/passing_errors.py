"""Tells transient AWS errors from permanent ones."""

from __future__ import annotations

from botocore.exceptions import (
    ClientError,
    ConnectionError,  # not Python's own
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
)

from userdata.contract.wrong_clock import tells_of_a_wrong_clock


def passes(error: BaseException | None) -> bool:
    """Whether `error` is transient: the network is away, the service is busy or in trouble, or the clock is wrong.

    But for the clock, these are the errors after which botocore itself would have gone on trying, had it not used up
    its attempts or its quota. Its own attempts are for blips: even ten of them are over within seconds, because the
    first pause after a 503 is 0.05 s at most.
    """
    if isinstance(error, ClientError):
        metadata = error.response.get("ResponseMetadata", {})
        tried = "MaxAttemptsReached" in metadata or "RetryQuotaReached" in metadata
        return tried or tells_of_a_wrong_clock(str(error))
    return isinstance(error, (ConnectionError, CredentialRetrievalError, HTTPClientError, IncompleteReadError))
