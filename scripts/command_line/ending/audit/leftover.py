"""One thing that is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stacks.facts.tag_names import PROJECT, PROJECT_TAG, STACK_TAG

# EC2's own form of the question.
OURS = [{"Name": f"tag:{PROJECT_TAG}", "Values": [PROJECT]}]
CLOUDFORMATION_TAG = "aws:cloudformation:stack-name"


@dataclass(frozen=True)
class Leftover:
    """A resource with the project's tag: what it is, US dollars a month, and the command that removes it.

    `usd_per_month` is None where it costs something, but how much is not known here. `stack` is the stack that made it,
    empty where no tag says so. `is_result` marks what holds a person's images: it costs money and is meant to stay.
    """

    kind: str
    id: str
    detail: str
    usd_per_month: float | None
    command: str
    stack: str = ""
    is_result: bool = False

    @property
    def is_free(self) -> bool:
        """Whether it can stay without costing anything."""
        return self.usd_per_month == 0


def tags_of(listed: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """AWS's list of tags by their names."""
    return {str(tag["Key"]): str(tag["Value"]) for tag in listed}


def is_ours(tags: Mapping[str, str]) -> bool:
    """Whether these are the tags of something that this project made."""
    return tags.get(PROJECT_TAG) == PROJECT


def stack_of(tags: Mapping[str, str]) -> str:
    """The stack that made what carries these tags, empty where they do not say."""
    return tags.get(STACK_TAG) or tags.get(CLOUDFORMATION_TAG, "")
