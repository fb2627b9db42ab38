"""What the pages can show: cog runs the line between `[[[cog` and `]]]` of a page with these names."""

from __future__ import annotations

import sys
import textwrap

from demo_model.measuring.report import report
from demo_model.world.vocabulary import vocabulary
from scripts.docs.captures import WIDTH, picked
from scripts.docs.help_texts import help_texts
from scripts.docs.parameters import common_parameters, parameter_table
from scripts.docs.places import CAPTURES, ROOT
from scripts.docs.prices import card_speeds, price_in_short, prices, product_rates
from scripts.docs.proof import proof_in_short, proof_steps
from scripts.docs.security import fuzzed, left_standing, locked, soaked, unit_scores
from scripts.docs.tree import tree
from userdata.contract.status import PHASES

__all__ = [
    "captured",
    "card_speeds",
    "common_parameters",
    "fenced",
    "fuzzed",
    "help_texts",
    "left_standing",
    "locked",
    "measured",
    "parameter_table",
    "phases",
    "price_in_short",
    "prices",
    "product_rates",
    "proof_in_short",
    "proof_steps",
    "show",
    "soaked",
    "tree",
    "unit_scores",
    "verbatim",
    "vocabulary",
]


def show(text: str) -> None:
    """Puts a part into the page."""
    sys.stdout.write(f"\n{text}\n\n")


def fenced(text: str) -> str:
    """A text to be shown as it is."""
    return f"```\n{text.strip()}\n```"


def captured(name: str, shown: str = "") -> str:
    """The terminal capture docs/captures/NAME.txt, or its command and the lines that match `shown`.

    Long lines are broken as a terminal breaks them.
    """
    command, *lines = (CAPTURES / f"{name}.txt").read_text("utf-8").splitlines()
    broken = (textwrap.wrap(line, WIDTH, break_on_hyphens=False) or [""] for line in picked(lines, shown))
    return fenced("\n".join([command, *(part for line in broken for part in line)]))


def phases() -> str:
    """The phases that a run goes through, in their order."""
    return f"`phase` is one of {', '.join(PHASES)}."


def verbatim(path: str) -> str:
    """A file of the checkout as it is."""
    return fenced((ROOT / path).read_text("utf-8"))


def measured() -> str:
    """The tables of what the model in the box draws."""
    return report(ROOT / "docs/demo-model")
