"""`python -m scripts.docs` writes docs/schemas/ and the generated parts of the pages; `--captures` captures before.

With `--check` nothing is written: the difference is shown, and the exit status says whether there is one.
"""

from __future__ import annotations

import argparse
import sys

from scripts.interruption.signals import end_at_once, ends_in_a_sentence, held

if __name__ == "__main__":  # a test imports this file
    end_at_once("docs: Interrupted; nothing was written.")
from cogapp import Cog

import scripts.docs.parts  # noqa: F401  # which Cog imports, too, and which takes seconds
from scripts.docs.captures import capture_all  # takes a second
from scripts.docs.places import ROOT
from scripts.docs.schemas import write_schemas

HOW = "`python -m scripts.docs` writes what follows from the code"


def write_pages(*, check: bool) -> int:
    """Fills README.md and the pages of docs/, and gives cog's exit status."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    how = ["--check", "--diff", f"--check-fail-msg={HOW}"] if check else ["-r"]
    prologue = "from scripts.docs.parts import *"
    # Cog takes an interruption for an error of a page, and writes pages in place.
    with held():
        return int(Cog().main(["cog", *how, "-P", "-p", prologue, "-n", "utf-8", "--verbosity=1", *map(str, pages)]))


def main() -> int:
    """Gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.docs", description=__doc__)
    parser.add_argument("--captures", action="store_true", help="run the captured commands in the local cloud first")
    parser.add_argument(
        "--studio", action="store_true", help="play with the studio in the local cloud first: its pictures"
    )
    parser.add_argument("--check", action="store_true", help="write nothing, show what differs")
    options = parser.parse_args()
    if options.captures:
        capture_all()
    if options.studio:
        from scripts.docs.studio_pictures import take_all  # wants a browser

        take_all()
    return write_pages(check=options.check) or write_schemas(check=options.check)


if __name__ == "__main__":
    with ends_in_a_sentence():
        sys.exit(main())
