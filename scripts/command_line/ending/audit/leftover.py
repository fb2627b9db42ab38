"""A resource that is left over."""

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

    `usd_per_month` is None where the resource has an unknown cost. `stack` is the stack that made the resource, empty
    where no tag names one. `is_result` marks a bucket with a person's images, which costs money and is meant to stay.
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
        """Whether the resource costs nothing."""
        return self.usd_per_month == 0


def tags_of(listed: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """AWS's list of tags by their names."""
    return {str(tag["Key"]): str(tag["Value"]) for tag in listed}


def is_ours(tags: Mapping[str, str]) -> bool:
    """Whether these are the tags of a resource that this project made."""
    return tags.get(PROJECT_TAG) == PROJECT


def stack_of(tags: Mapping[str, str]) -> str:
    """The stack that made the resource with these tags, empty where no tag names one."""
    return tags.get(STACK_TAG) or tags.get(CLOUDFORMATION_TAG, "")
