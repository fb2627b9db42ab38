"""How the rows of a file are written."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """How rows are written."""

    text = "text"
    csv = "csv"
    jsonl = "jsonl"
