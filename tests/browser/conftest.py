"""One headless Chromium for each process of the tests, and for each test a page that asks nobody outside."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Route, expect, sync_playwright

# Without a network of its own: a browser that looks for updates in the middle of a test would be a test of the network.
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
LOCAL = ("127.0.0.1", "localhost")
# A browser that waits longer for a local page waits in vain.
PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, as the tests of this process share it."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("There is no chromium on this machine: the pages are not looked at in a browser.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page in a context of its own. An error of its scripts, or of its policy, fails the test in the end."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    context.route("**/*", _local_alone)
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # What is not there says so here too, and a page may look whether something is there.
        if message.type == "error" and "net::ERR_" not in message.text and "status of" not in message.text:
            errors.append(message.text)

    def note_error(error: Error) -> None:
        errors.append(str(error))

    context.on("console", note)
    page = context.new_page()
    page.on("pageerror", note_error)
    yield page
    context.close()
    assert not errors


def _local_alone(route: Route) -> None:
    address = urlsplit(route.request.url)
    if address.scheme in ("file", "data", "blob") or address.hostname in LOCAL:
        route.continue_()
    else:
        route.abort()
