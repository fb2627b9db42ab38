"""A page of 5,000 images stays smooth: `docs/pages.md` has the figures."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import CDPSession, Page, expect

from tests.browser.written_runs import write_run
from userdata.page.thumbnail import thumbnail_of

IMAGES = 5_000


def picture(index: int) -> bytes:
    """A PNG of 320 x 320 pixels with as much in it as a photograph has."""
    noise = random.Random(index).randbytes(3 * 40 * 40)
    content = io.BytesIO()
    Image.frombytes("RGB", (40, 40), noise).resize((320, 320), Image.Resampling.BICUBIC).save(content, format="PNG")
    return content.getvalue()


@pytest.mark.long
def test_five_thousand_images(page: Page, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = (
        "a horse standing under a tree in a meadow, early morning, mist, an oil painting of the nineteenth century"
    )
    run = write_run(tmp_path, "many", images=IMAGES, pixels=False, prompt=prompts, n_iter=IMAGES // 10, n_samples=10)
    thumbnails = run.folder / "page/thumbnails"
    thumbnails.mkdir()
    some = [thumbnail_of(picture(index)) for index in range(40)]
    for index in range(IMAGES):
        (thumbnails / f"{index:05}.webp").write_bytes(some[index % len(some)])
    page.add_init_script(
        """new MutationObserver((_, one) => {
          if (!document.querySelector('.card')) return;
          globalThis.first = performance.now();
          one.disconnect();
        }).observe(document, { childList: true, subtree: true });"""
    )
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto((run.folder / "index.html").as_uri())
    expect(page.locator("#images .card")).to_have_count(200)
    page.wait_for_function("!document.getElementById('search').hidden")
    busy = busy_seconds(session)
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
    scrolling = busy_seconds(session) - busy
    heap = heap_of(session)
    before = busy_seconds(session)
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
            f"\n5,000 images: the first stand there after {scrolled['first']:.0f} ms, and all is read after "
            f"{scrolled['ready']:.0f} ms, {busy:.2f} s of a processor. Scrolling through all of them takes "
            f"{scrolling:.1f} s of a processor; a frame {scrolled['middle']:.0f} ms, one in twenty over "
            f"{scrolled['slow']:.0f} ms. With all of them on the page a search takes {searched:.0f} ms, "
            f"{busy_seconds(session) - before:.2f} s of a processor, and JavaScript holds {heap:.1f} MiB."
        )
    assert heap < 100
    assert scrolled["ready"] < 10_000


def busy_seconds(session: CDPSession) -> float:
    """What the page's thread has had of a processor: other programs do not count."""
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


def heap_of(session: CDPSession) -> float:
    """What the page's JavaScript holds, in MiB. The pictures themselves are not in it."""
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 2**20
