"""One line of `sd doctor`: what was checked, the result, and how to mend a problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "problem", "unknown"]


@dataclass(frozen=True)
class Check:
    """`found` describes what was found, `mend` says what to do about it and is empty where nothing is to be done.

    `blocks` says that a deploy would fail, so that no deploy begins; only a problem blocks.
    """

    name: str
    state: State
    found: str
    mend: str = ""
    blocks: bool = False
