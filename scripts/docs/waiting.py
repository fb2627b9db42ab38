"""Waits for what a page computes."""

from __future__ import annotations

import time

from playwright.sync_api import Page


def wait_for(page: Page, condition: str, *, seconds: float = 15.0) -> None:
    """Until `condition`, an expression of JavaScript, is true on `page`; raises `AssertionError` after so long.

    Rejected: `page.wait_for_function`, which looks again by `eval`, and our pages forbid that by their policy.
    """
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {condition}"
        page.wait_for_timeout(20)
