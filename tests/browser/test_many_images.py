"""A page of 5,000 images stays smooth: `docs/pages.md` has the figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.written_runs import write_run

IMAGES = 5_000


@pytest.mark.long
def test_five_thousand_images(page: Page, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = (
        "a horse standing under a tree in a meadow, early morning, mist, an oil painting of the nineteenth century"
    )
    run = write_run(tmp_path, "many", images=IMAGES, pixels=False, prompt=prompts, n_iter=IMAGES // 10, n_samples=10)
    page.add_init_script(
        """new MutationObserver((_, one) => {
          if (!document.querySelector('.card')) return;
          globalThis.first = performance.now();
          one.disconnect();
        }).observe(document, { childList: true, subtree: true });"""
    )
    page.goto((run.folder / "index.html").as_uri())
    expect(page.locator("#images .card")).to_have_count(200)
    page.wait_for_function("!document.getElementById('search').hidden")
    scrolled = page.evaluate(
        """async () => {
          const ready = performance.now();
          const frames = [];
          let before = ready;
          while (document.getElementById("images").children.length < 5000 && frames.length < 2000) {
            scrollBy(0, 900);
            await new Promise(requestAnimationFrame);
            frames.push(performance.now() - before);
            before = performance.now();
          }
          frames.sort((a, b) => a - b);
          return { first, ready, middle: frames[frames.length >> 1], slow: frames[Math.floor(frames.length * 0.95)] };
        }"""
    )
    heap = heap_of(page)
    searched = page.evaluate(
        """async () => {
          const began = performance.now();
          document.getElementById("words").value = "4711";
          document.getElementById("search").requestSubmit();
          while (document.getElementById("images").children.length > 200) await new Promise(requestAnimationFrame);
          return performance.now() - began;
        }"""
    )
    with capsys.disabled():
        print(  # noqa: T201
            f"\n5,000 images: the first are drawn after {scrolled['first']:.0f} ms, all is read after "
            f"{scrolled['ready']:.0f} ms; a frame of scrolling takes {scrolled['middle']:.0f} ms, of 100 the slowest "
            f"5 over {scrolled['slow']:.0f} ms; with all of them on the page a search takes {searched:.0f} ms, and "
            f"JavaScript {heap:.1f} MiB"
        )
    assert heap < 100
    assert scrolled["ready"] < 10_000


def heap_of(page: Page) -> float:
    """What the page's JavaScript holds, in MiB. The pictures themselves are not in it."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 2**20
