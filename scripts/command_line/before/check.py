"""One line of `sd doctor`: what was looked at, how it stands, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "problem", "unknown"]


@dataclass(frozen=True)
class Check:
    """`found` is what there is, `mend` what to do about it, empty where nothing is to be done.

    `blocks` says that a deploy cannot succeed like this, so that none is begun; only a problem blocks.
    """

    name: str
    state: State
    found: str
    mend: str = ""
    blocks: bool = False
