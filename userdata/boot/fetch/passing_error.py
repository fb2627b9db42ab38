"""What passes by itself when a file is fetched: the network, or a busy server."""

from __future__ import annotations

from typing import Optional


class PassingError(Exception):
    """Something that passes. `after_seconds` is when the server said to come back, None where it did not say."""

    def __init__(self, message: str, after_seconds: Optional[float] = None) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


def code_passes(code: int) -> bool:
    """Whether a server that answers with this status is only busy or in trouble."""
    return code in (408, 425, 429) or code >= 500
