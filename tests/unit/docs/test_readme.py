"""The README must not drift from what is deployed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from scripts.parameter_table import parameter_table

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_parameter_table_is_the_schemas() -> None:
    assert parameter_table() in README, "python -m scripts.parameter_table prints the table that belongs there"


def test_every_link_leads_to_a_file() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_every_script_that_is_named_is_there_and_can_be_run() -> None:
    for script in set(re.findall(r"\./(scripts/[a-z/]+)", README)):
        listed = subprocess.run(
            ["git", "ls-files", "--stage", script], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert listed.stdout.startswith("100755"), script
