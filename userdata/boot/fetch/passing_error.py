"""Errors that pass by themselves while a file is fetched: the network is away, or the server is busy."""

from __future__ import annotations

import re
from email.message import Message
from typing import Optional


class PassingError(Exception):
    """An error that passes by itself. `after_seconds` is when the server says to come back, None if it says nothing."""

    def __init__(self, message: str, after_seconds: Optional[float] = None) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


def code_passes(code: int) -> bool:
    """Whether a server that answers with this status is only busy or in trouble."""
    return code in (408, 425, 429) or code >= 500


def asked_pause(headers: Message) -> Optional[float]:
    """After how many seconds a busy server wants to be asked again, or None where it does not say.

    The hub often says only `RateLimit: "resolvers";r=0;t=123`: no request is left for 123 s. `Retry-After` may also be
    a date, which is left to the usual pauses, because the clock may not be set this early.
    """
    after = str(headers.get("Retry-After", "")).strip()
    if re.fullmatch(r"\d+", after, re.ASCII):
        return float(after)
    limits = ",".join(headers.get_all("RateLimit", [])).split(",")
    ends = [re.search(r";\s*t=(\d+)", limit, re.ASCII) for limit in limits if re.search(r";\s*r=0\b", limit)]
    return max((float(end[1]) for end in ends if end), default=None)
