"""Asks axe about a page as it stands in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
SERIOUS = ("serious", "critical")


def axe(page: Page) -> list[str]:
    """What axe finds of serious or critical impact: a line for each finding, with the first elements that have it."""
    # Not as a <script>, which a page's own policy refuses.
    page.evaluate(f"() => {{ {AXE.read_text(encoding='utf-8')} }}")
    found: list[dict[str, Any]] = page.evaluate("async () => (await axe.run(document)).violations")
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {' | '.join(node['html'] for node in one['nodes'][:3])}"
        for one in found
        if one["impact"] in SERIOUS
    ]
