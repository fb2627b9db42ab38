"""`python -m scripts.docs.page_pictures results RUN` takes the pictures of docs/pages.md, of a run in that folder.

It asks nothing of AWS: the results of `./scripts/demo` are enough. It needs Chromium (Debian's package).
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from scripts.command_line.gallery.local_run import local_runs, write_page
from scripts.command_line.gallery.overview import write_overview
from scripts.docs.axe_report import take, write_report
from scripts.docs.places import ROOT
from scripts.docs.waiting import wait_for
from scripts.interruption.signals import ends_in_a_sentence

PICTURES = ROOT / "docs/pages"
ARGUMENTS = ["--no-sandbox", "--disable-gpu"]
SIZE, PHONE = {"width": 1200, "height": 800}, {"width": 390, "height": 800}
VIEWS = (
    ("run", SIZE, "light", "The page of a run"),
    ("image", SIZE, "dark", "An image, in the dark"),
    ("phone", PHONE, "light", "An image on a phone"),
)


def take_pictures(results: Path, run: str) -> None:
    """Takes the pictures of `VIEWS`, and writes what axe finds on each."""
    write_overview(results, [made for folder in local_runs(results) if (made := write_page(folder))])
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        rows = []
        for name, size, scheme, what in VIEWS:
            page = browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
            page.goto((results / run / "index.html").resolve().as_uri())
            page.locator(".card").first.wait_for()
            if name == "run":
                page.locator("summary").click()
            else:
                page.locator(".card").first.click()
            wait_for(page, "[...document.images].every((one) => one.complete)")
            rows.append(take(page, PICTURES / f"{name}.png", what))
            page.close()
        browser.close()
    write_report(PICTURES, "a run's page", "python -m scripts.docs.page_pictures", rows)


if __name__ == "__main__":
    with ends_in_a_sentence():
        take_pictures(Path(sys.argv[1]), sys.argv[2])
