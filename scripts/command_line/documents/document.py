"""What all documents of `--json` have, and the document of an error."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A part of a document. Times are UTC, ISO 8601; money is US dollars."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True, defer_build=True
    )


class Document(Part):
    """A document. Its number rises when a field goes or changes its meaning, not when one is added."""

    schema_number: Literal[1] = Field(1, alias="schema")

    def as_text(self) -> str:
        """The document as JSON in ASCII, which any terminal's encoding has."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=2)


class Failure(Part):
    """Why a command has failed, and its exit code: 1, 2 for misuse, 128 + N after signal N."""

    message: str
    exit_code: int


class ErrorDocument(Document):
    """What a command prints in place of its document where it fails before it has one."""

    error: Failure
