"""What the pages can show: cog runs the lines between `[[[cog` and `]]]` of a page with these names."""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from demo_model.measuring.report import report
from demo_model.world.vocabulary import vocabulary
from scripts.docs.help_texts import help_texts
from scripts.docs.parameters import common_parameters, parameter_table
from scripts.docs.places import CAPTURES, ROOT
from stacks.facts.card_speeds import CARD_SPEEDS

__all__ = [
    "captured",
    "card_speeds",
    "common_parameters",
    "help_texts",
    "measured",
    "parameter_table",
    "show",
    "tree",
    "verbatim",
    "vocabulary",
]

TREE = ("stacks", "userdata", "scripts", "demo_model", "benchmarks", "tests")
TREE_WIDTH = 120
TREE_COLUMN = 26


def show(text: str) -> None:
    """Puts a part into the page."""
    sys.stdout.write(f"\n{text}\n\n")


def captured(name: str) -> str:
    """The terminal capture docs/captures/NAME.txt."""
    return _fenced((CAPTURES / f"{name}.txt").read_text("utf-8"))


def verbatim(path: str) -> str:
    """A file of the checkout as it is."""
    return _fenced((ROOT / path).read_text("utf-8"))


def measured() -> str:
    """The tables of what the model in the box draws."""
    return report(ROOT / "docs/demo-model")


def card_speeds() -> str:
    """How fast each card draws the article's image, and what the figure rests on."""
    rows = [f"| {card} | {speed.seconds:g} | {speed.basis}: {speed.origin} |" for card, speed in CARD_SPEEDS.items()]
    return "\n".join(["| card | s for the article's image | rests on |", "| --- | --- | --- |", *rows])


def tree() -> str:
    """Every room of the code with the sentence of its `__init__.py`; `tests/unit` mirrors them, so it stands alone."""
    return _fenced("\n".join(line for top in TREE for line in _branch(ROOT / top, depth=0)))


def _branch(folder: Path, *, depth: int) -> Iterator[str]:
    sentence = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
    name = f"{'  ' * depth}{folder.name}/"
    yield from textwrap.wrap(
        sentence, TREE_WIDTH, initial_indent=name.ljust(TREE_COLUMN), subsequent_indent=" " * TREE_COLUMN
    )
    if folder != ROOT / "tests/unit":
        for room in sorted(path.parent for path in folder.glob("*/__init__.py")):
            yield from _branch(room, depth=depth + 1)


def _fenced(text: str) -> str:
    return f"```\n{text.strip()}\n```"
