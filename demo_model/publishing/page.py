"""`python -m demo_model.publishing.page` fills the tables of docs/demo-model.md from code and measurements."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from demo_model.measuring.report import report
from demo_model.world.vocabulary import vocabulary

PAGE = Path(__file__).parents[2] / "docs/demo-model.md"
# What the page shows: figures, the training's log, the benchmark's output, pictures.
SHOWN = PAGE.parent / "demo-model"
PARTS: Mapping[str, Callable[[], str]] = {
    "vocabulary": vocabulary,
    "measured": lambda: report(SHOWN),
    "training log": lambda: _verbatim("train.log"),
    "benchmark": lambda: _verbatim("benchmark.log"),
}


def filled(page: str) -> str:
    """`page` with all its parts as they are now. Raises `ValueError` when one has no place in it."""
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}, by python -m demo_model.publishing.page -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(page):
            raise ValueError(f"The page has no place for {name}: write {begin} and {end} into it.")
        before, after = pattern.split(page, maxsplit=1)
        page = f"{before}{begin}\n\n{make()}\n\n{end}{after}"
    return page


def _verbatim(file: str) -> str:
    return f"```\n{(SHOWN / file).read_text('utf-8').strip()}\n```"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
