"""The pictures of docs/studio.md: a newcomer's first five minutes with `sd studio --local`, in a headless Chromium.

The local cloud, the deploy, the worker and the page are the real ones; only the hand that types is this program's.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

from playwright.sync_api import Browser, Page, sync_playwright

from scripts.docs.axe_report import take, write_report
from scripts.docs.places import ROOT

PICTURES = ROOT / "docs/studio"
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
DESK, PHONE = {"width": 1200, "height": 800}, {"width": 390, "height": 780}
# The deploy and each run may take as long as a busy computer takes.
PATIENCE_MS = 180_000


def take_all() -> None:
    """Writes every picture anew. Raises `RuntimeError` where there is no Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise RuntimeError("There is no chromium on this machine, which takes the pictures of the studio.")
    PICTURES.mkdir(exist_ok=True)
    with _studio() as link, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
        rows: list[str] = []
        _play(browser, link, lambda page, name, what: rows.append(take(page, PICTURES / f"{name}.png", what)))
        browser.close()
    write_report(PICTURES, "the studio", "python -m scripts.docs --studio", rows)


@contextlib.contextmanager
def _studio() -> Iterator[str]:
    """`sd studio --local`; gives its link."""
    command = [sys.executable, "-P", str(ROOT / "scripts/studio/__main__.py"), "--local", "--no-open", "--port=0"]
    studio = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert studio.stdout
    try:
        said = next((line for line in studio.stdout if "token=" in line), "")
        yield re.findall(r"http://\S+", said)[0]
    finally:
        studio.terminate()
        studio.wait()


def _play(browser: Browser, link: str, take: Callable[[Page, str, str], None]) -> None:
    """What a newcomer does, with a picture of each step."""
    context = browser.new_context(viewport=DESK, reduced_motion="reduce")  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(link)
    page.locator("#prompt").fill("A red horse by a lake")
    page.locator("#draw").click()
    page.locator(".kept").wait_for()
    page.locator("#machine progress[value='2'], #machine progress[value='3']").wait_for()
    take(page, "1-early", "A press before the local cloud is there")

    first = page.locator("article.run", has_text="A red horse by a lake")
    first.locator(".picture").nth(3).wait_for()
    page.locator("#prompt").fill("A lemon next to a mushroom")
    page.get_by_text("4 images on g6.xlarge").wait_for()
    take(page, "2-price", "The form, and images")

    page.get_by_text("All options").click()
    page.get_by_label("Iterations").fill("3")
    page.get_by_text("All options").click()
    page.locator("#draw").click()
    page.locator("article.run", has_text="A lemon").locator(".picture").nth(3).wait_for()
    page.locator("#prompt").fill("A boat at night")
    take(page, "3-arriving", "Images that arrive")

    first.locator(".picture button").first.click()
    page.locator("#details .actions").wait_for()
    take(page, "4-details", "The details of an image")

    page.get_by_role("button", name="Redraw a part…").click()
    page.locator("#mask-canvas").wait_for()  # it is shown once the image is here
    box = page.locator("#mask-canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.4)
    page.mouse.down()
    for across, down in ((0.4, 0.5), (0.5, 0.6), (0.6, 0.55)):
        page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down, steps=5)
    page.mouse.up()
    take(page, "5-mask", "The mask")
    page.locator("#mask").get_by_role("button", name="Close").click()

    page.get_by_text("X/Y grid").click()
    for axis, option, values in (("X", "Steps", "4, 10, 25"), ("Y", "GuidanceScale", "1, 4")):
        page.locator(f"#axis-{axis}").select_option(option)
        page.locator(f"#values-{axis}").fill(values)
    page.get_by_text("The grid: 6 images").wait_for()
    page.get_by_role("button", name="Draw the grid").click()
    page.locator("td .picture").nth(5).wait_for()
    page.evaluate("scrollTo(0, 0)")
    take(page, "6-grid", "A grid")

    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.emulate_media(color_scheme="dark")
    page.reload()
    page.locator(".picture").first.wait_for()
    take(page, "7-phone", "A phone's width, dark")
