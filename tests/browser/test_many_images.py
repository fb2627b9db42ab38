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
    figures = page.evaluate(
        """async () => {
          const ready = performance.now();
          const frames = [];
          let before = performance.now();
          const images = document.getElementById("images");
          for (let step = 0; images.children.length < 5000 && step < 2000; step += 1) {
            scrollBy(0, 900);
            await new Promise(requestAnimationFrame);
            const now = performance.now();
            frames.push(now - before);
            before = now;
          }
          frames.sort((a, b) => a - b);
          const field = document.getElementById("words");
          const began = performance.now();
          field.value = "4711";
          document.getElementById("search").requestSubmit();
          while (images.children.length > 200) await new Promise(requestAnimationFrame);
          return { first, ready, frames: frames.length, middle: frames[frames.length >> 1],
            slow: frames[Math.floor(frames.length * 0.99)], search: performance.now() - began };
        }"""
    )
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"] / 2**20
    with capsys.disabled():
        print(  # noqa: T201
            f"\n5,000 images: the first are drawn after {figures['first']:.0f} ms, all is read after "
            f"{figures['ready']:.0f} ms; a frame while scrolling takes {figures['middle']:.0f} ms, of 100 the slowest "
            f"{figures['slow']:.0f} ms; a search {figures['search']:.0f} ms; {heap:.1f} MiB of JavaScript heap"
        )
    assert heap < 100
    assert figures["ready"] < 10_000
