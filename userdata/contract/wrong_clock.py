"""How AWS says that a machine's clock is wrong. That passes, because the system sets the clock after a boot."""

from __future__ import annotations

import re

# S3 and EC2 have codes of their own for it, other services a sentence behind the code of a wrong signature. A token
# that has expired is one by the machine's wrong clock, or renewed by the next attempt.
# Source: the codes that AWS's SDK for JavaScript takes for a clock that is wrong
# (https://github.com/aws/aws-sdk-js-v3/blob/main/packages/service-error-classification/src/constants.ts), without those
# that wrong keys have too.
_TOLD = re.compile(
    r"\((?:RequestTimeTooSkewed|RequestExpired|RequestInTheFuture|ExpiredToken(?:Exception)?)\)"
    r"|Signature (?:expired|not yet current)"
)


def tells_of_a_wrong_clock(error: str) -> bool:
    """Whether an error, in the words of botocore or of the `aws` command, is about the clock."""
    return bool(_TOLD.search(error))
