"""The table of a soak."""

from __future__ import annotations

from collections.abc import Sequence

from tests.soak.faults import FAULTS
from tests.soak.soak import Outcome

COLUMNS = (
    *("fault", "runs", "met work", "images", "lost", "doubled", "needed another start"),
    *("longest to a defined state", "machines left"),
)


def table(outcomes: Sequence[Outcome]) -> str:
    """A table in Markdown, with a row for each fault and one for all."""
    by_fault = {name: [one for one in outcomes if one.fault == name] for name in FAULTS}
    rows = [_row(name, found) for name, found in by_fault.items() if found]
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows, _row("all", outcomes)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _row(name: str, found: Sequence[Outcome]) -> tuple[str, ...]:
    counts = (
        len(found),
        sum(one.met for one in found),
        sum(one.images for one in found),
        sum(len(one.lost) for one in found),
        sum(len(one.doubled) for one in found),
        sum(one.starts > 0 for one in found),
    )
    longest = f"{max((one.seconds for one in found), default=0):.0f} s"
    return (name, *map(str, counts), longest, str(sum(len(one.left) for one in found)))
