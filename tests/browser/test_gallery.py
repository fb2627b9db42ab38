"""The page over all runs: search, and two runs side by side."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from scripts.command_line.gallery.local_run import write_page
from scripts.command_line.gallery.overview import write_overview
from scripts.docs.waiting import wait_for
from tests.browser.axe import axe
from tests.browser.written_runs import write_run
from tests.unit.page.records import HOSTILE

# A folder's name is no address: all of it is a name.
ODD = "a run #1 100%?"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    runs = [
        write_run(root, "horses", prompt="a red horse", seed=7, day=1),
        write_run(root, "more-horses", prompt="a red horse", seed=7, day=2, ddim_steps=50, negative_prompt="blurry"),
        write_run(root, ODD, images=3, prompt=HOSTILE, model="tiny", day=28),
    ]
    # A batch's images have the names that somebody gave them.
    for file in (root / "horses/txt2img-samples/samples").glob("00000.*"):
        file.rename(file.with_stem("red #1"))
    assert write_page(root / "horses")
    return write_overview(root, runs)


def test_a_search_finds_images_in_all_runs(page: Page, gallery: Path) -> None:
    page.goto(gallery.as_uri())
    expect(page.locator("#runs > li")).to_have_count(3)
    expect(page.locator("#runs h2").first).to_have_text(HOSTILE)
    wait_for(page, "[...document.images].filter((one) => one.complete && one.naturalWidth).length >= 11")
    page.keyboard.press("/")
    page.keyboard.type("RED horse")
    expect(page.locator("#told")).to_have_text("8 images found")
    assert page.locator(".card[href*='red%20%231.png']").count() == 1
    page.get_by_label("Model").select_option("tiny")
    expect(page.locator("#told")).to_have_text("No image has these words in its prompt.")
    page.get_by_label("Search the prompts").fill("onerror= 43")
    expect(page.locator(".card")).to_have_count(1)
    page.locator(".card").click()
    expect(page.get_by_role("dialog", name="00001.png: 1 of 1")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_label("Search the prompts").fill("")
    page.get_by_label("Model").select_option("")
    page.get_by_label("To").fill("2026-11-02")
    expect(page.locator("#told")).to_have_text("2 runs of 3")
    page.get_by_role("link", name="a red horse").first.click()
    expect(page.get_by_role("heading", name="a red horse")).to_be_visible()


def test_of_two_runs_only_what_differs_is_shown(page: Page, gallery: Path) -> None:
    page.goto(gallery.as_uri())
    boxes = page.get_by_label("Compare", exact=True)
    boxes.nth(1).check()
    expect(page.get_by_text("Choose another run")).to_be_visible()
    boxes.nth(2).check()
    rows = page.locator("#compare tbody tr")
    expect(rows).to_have_text(["Negative promptblurry–", "Steps5025"])
    expect(page.locator('.pairs [role="listitem"]')).to_have_count(4)
    assert axe(page) == []
    page.get_by_role("button", name="Close").last.click()
    expect(page.locator("#compare")).to_be_hidden()
    boxes.nth(0).check()
    boxes.nth(1).check()
    expect(rows.first).to_be_visible()
    # The one that was chosen first gives way, also where a search has left it out.
    page.get_by_label("Model").select_option("demo")
    expect(page.locator("#runs > li")).to_have_count(2)
    boxes.nth(1).check()
    expect(rows).to_have_text(["Negative promptblurry–", "Steps5025"])


def test_on_a_phone_nothing_is_wider_than_it(page: Page, gallery: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(gallery.as_uri())
    expect(page.locator("#runs > li")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert axe(page) == []
