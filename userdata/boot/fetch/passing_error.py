"""Errors that pass by themselves while a file is fetched: the network is away, or the server is busy."""

from __future__ import annotations

from typing import Optional


class PassingError(Exception):
    """An error that passes by itself. `after_seconds` is when the server says to come back, None if it says nothing."""

    def __init__(self, message: str, after_seconds: Optional[float] = None) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


def code_passes(code: int) -> bool:
    """Whether a server that answers with this status is only busy or in trouble."""
    return code in (408, 425, 429) or code >= 500
