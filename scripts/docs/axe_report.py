"""Takes pictures of pages, and writes beside them what axe finds on each."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from scripts.docs.places import ROOT

AXE = ROOT / "node_modules/axe-core/axe.min.js"
COLOURS = 256
HEAD = """# What axe finds on {of}

Written by `{command}`, in Chromium, on the pages of the pictures: axe-core with all
of its rules.

| page | rules that hold | violations |
| --- | --- | --- |
"""


def take(page: Page, picture: Path, what: str) -> str:
    """Takes the picture; gives the row of the report that says what axe finds on the page as it stands."""
    page.wait_for_timeout(700)  # until the last picture is decoded
    whole = Image.open(io.BytesIO(page.screenshot()))
    whole.convert("RGB").quantize(COLOURS).save(picture, optimize=True)
    page.evaluate(f"() => {{ {AXE.read_text('utf-8')} }}")  # not as a <script>, which the page's policy refuses
    found = page.evaluate(
        "async () => { const {passes, violations} = await axe.run(document); return {passes, violations}; }"
    )
    violations = ", ".join(f"{one['id']} ({one['impact']})" for one in found["violations"]) or "none"
    return f"| [{what}]({picture.name}) | {len(found['passes'])} | {violations} |"


def write_report(folder: Path, of: str, command: str, rows: Sequence[str]) -> None:
    """Writes `axe.md` into the folder of the pictures."""
    (folder / "axe.md").write_text(HEAD.format(of=of, command=command) + "\n".join(rows) + "\n", "utf-8")
