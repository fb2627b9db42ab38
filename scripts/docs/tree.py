"""The rooms of the code, each with the sentence of its `__init__.py`."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path

from scripts.docs.places import ROOT

TOP = ("stacks", "userdata", "scripts", "demo_model", "benchmarks", "tests")
# Its rooms are those of the code.
MIRROR = ROOT / "tests/unit"
WIDTH = 120
COLUMN = 24


def tree() -> str:
    """Every room, its parents before it."""
    return "\n".join(line for top in TOP for line in _branch(ROOT / top, depth=0))


def _branch(folder: Path, *, depth: int) -> Iterator[str]:
    sentence = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
    name = f"{'  ' * depth}{folder.name}/".ljust(COLUMN)
    yield from textwrap.wrap(sentence, WIDTH, initial_indent=name, subsequent_indent=" " * COLUMN)
    if folder != MIRROR:
        for room in sorted(path.parent for path in folder.glob("*/__init__.py")):
            yield from _branch(room, depth=depth + 1)
