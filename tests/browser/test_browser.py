"""What the other tests of the pages stand on can fail."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

from tests.browser.axe import axe


def test_axe_finds_what_is_wrong_also_where_the_policy_refuses_scripts(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    policy = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:">'
    file.write_text(f'<!doctype html><html lang="en"><title>A page</title>{policy}<main><h1>A</h1><img src="data:,">')

    page.goto(file.as_uri())

    (finding,) = axe(page)
    assert finding.startswith("image-alt (critical)")
