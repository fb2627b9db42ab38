"""The errors of AWS, and which of them pass by themselves."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # not Python's own
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
)
from botocore.parsers import ResponseParserError

from userdata.contract.wrong_clock import tells_of_a_wrong_clock

# What a call of AWS raises where it is refused, gets no answer, or gets one that is not AWS's.
AWS_ERRORS = (ClientError, BotoCoreError, ResponseParserError)


def passes(error: BaseException | None) -> bool:
    """Whether `error` passes by itself on a machine: `is_transient`, or a clock that is wrong, or a token of its role.

    Not so for a person, whose clock nobody sets, and whose token a new login renews.
    """
    return is_transient(error) or (isinstance(error, ClientError) and tells_of_a_wrong_clock(str(error)))


def is_transient(error: BaseException | None) -> bool:
    """Whether the network is away, or the service is busy or in trouble.

    These are the errors after which botocore itself would have gone on trying, had it not used up its attempts or its
    quota. Its own attempts are for blips: even ten of them are over within seconds, because the first pause after a 503
    is 0.05 s at most.
    """
    if isinstance(error, ClientError):
        metadata = error.response.get("ResponseMetadata", {})
        return "MaxAttemptsReached" in metadata or "RetryQuotaReached" in metadata
    return isinstance(error, (ConnectionError, CredentialRetrievalError, HTTPClientError, IncompleteReadError))
