"""What the proof in a real account does, and what it costs, as the pages say it."""

from __future__ import annotations

import textwrap

from scripts.docs.prices import REGION
from scripts.proof.estimate import estimate
from scripts.proof.place import Place, cheapest_types
from scripts.proof.steps import STEPS

WIDTH = 120


def proof_in_short() -> str:
    """How long it takes and what it costs in us-east-1."""
    place = _place()
    minutes, usd = estimate(place, STEPS)
    told = (
        f"In {REGION} it takes about {round(minutes, -1):.0f} minutes and costs about ${usd:.2f}, by the estimates of "
        f"`sd cost` and the prices of `userdata/prices.json`, on a {place.type} and once on a {place.other_type}. It "
        "was never run there either: the figure is no measurement."
    )
    return textwrap.fill(told, WIDTH)


def proof_steps() -> str:
    """A numbered line for each step: what it does, and what it expects."""
    words = _place().words()
    lines = []
    for number, step in enumerate(STEPS, start=1):
        expected = "; ".join(f"{row.what}: {row.expected or '?'}" for row in step.rows).format_map(words)
        text = f"{number}. **{step.name}** {step.does}. Expected: {expected}."
        lines.append(textwrap.fill(text, WIDTH, subsequent_indent="   ", break_on_hyphens=False))
    return "\n".join(lines)


def _place() -> Place:
    first, second, *_ = cheapest_types(REGION)
    return Place(REGION, first, second, None, f"{REGION}b")
