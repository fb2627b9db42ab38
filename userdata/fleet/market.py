"""What a machine is told of its fleet: that it is in one, and in which market its machines are bought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional

# The deployed parameter that only the machines of a fleet have.
PARAMETER = "Fleet"
_FALLBACK = ",fallback"


@dataclass(frozen=True)
class Market:
    """How many percent of the machines are on-demand, and whether spot losses may make it all of them for a while."""

    on_demand_percent: int
    fallback: bool = False

    def to_text(self) -> str:
        """The value of the parameter."""
        return f"{self.on_demand_percent}{_FALLBACK if self.fallback else ''}"

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> Optional[Market]:
        """The market of this machine's fleet; None on a machine that is in none.

        Rejected: asking the metadata service whether there is a group. A machine whose question goes unanswered would
        take itself for one without a group and power off, and the group would replace it for ever.
        """
        text = parameters.get(PARAMETER)
        if text is None:
            return None
        percent = text.partition(",")[0]
        return cls(int(percent) if percent.isdigit() else 0, fallback=text.endswith(_FALLBACK))
