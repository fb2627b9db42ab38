"""`python -m scripts.docs.page_pictures results RUN` takes the pictures of docs/pages.md, of a run in that folder.

It asks nothing of AWS: the results of `./scripts/demo` are enough. It needs Chromium (Debian's package).
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from scripts.command_line.gallery.local_run import local_runs, write_page
from scripts.command_line.gallery.overview import write_overview
from scripts.docs.places import ROOT
from scripts.interruption.signals import ends_in_a_sentence

PICTURES = ROOT / "docs/pages"
ARGUMENTS = ["--no-sandbox", "--disable-gpu"]
SIZE, PHONE = {"width": 1200, "height": 800}, {"width": 390, "height": 800}


def take_pictures(results: Path, run: str) -> None:
    """Takes a picture of the run's page, of an image in the dark, and of an image on a phone."""
    write_overview(results, [made for folder in local_runs(results) if (made := write_page(folder))])
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        for name, size, scheme in (("run", SIZE, "light"), ("image", SIZE, "dark"), ("phone", PHONE, "light")):
            page = browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
            page.goto((results / run / "index.html").resolve().as_uri())
            page.locator(".card").first.wait_for()
            if name == "run":
                page.locator("summary").click()
            else:
                page.locator(".card").first.click()
            page.wait_for_function("[...document.images].every((one) => one.complete)")
            page.screenshot(path=PICTURES / f"{name}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    with ends_in_a_sentence():
        take_pictures(Path(sys.argv[1]), sys.argv[2])
