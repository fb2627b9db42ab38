"""A page of 5,000 images stays smooth: `docs/pages.md` has the figures."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import CDPSession, Page, expect

from scripts.docs.waiting import wait_for
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
    expect(page.locator("#images .card").first).to_be_visible()
    wait_for(page, "!document.getElementById('search').hidden")
    busy = busy_seconds(session)
    ready = float(page.evaluate("performance.now()"))
    scrolled = scroll_to_the_end(page)
    assert page.locator("#images .card").count() == IMAGES
    heap = heap_of(session)
    before = busy_seconds(session)
    searched = page.evaluate(
        """async () => {
          const began = performance.now();
          document.getElementById("words").value = "4711";
          document.getElementById("search").requestSubmit();
          const list = document.getElementById("images");
          while (list.querySelectorAll(".card").length > 100) await new Promise(requestAnimationFrame);
          return performance.now() - began;
        }"""
    )
    with capsys.disabled():
        print(  # noqa: T201
            f"\n5,000 images: the first stand there after {page.evaluate('first'):.0f} ms, and all is read after "
            f"{ready:.0f} ms, {busy:.2f} s of a processor. Scrolling through {scrolled['height']:,} pixels takes "
            f"{scrolled['frames']} frames, {scrolled['busy'] / scrolled['frames'] * 1000:.1f} ms of a processor for "
            f"each, at most {scrolled['longest'] * 1000:.0f} ms in one piece; one frame in two came within "
            f"{scrolled['middle']:.0f} ms, {scrolled['late']} later than 33 ms. With all of them on the page a search "
            f"takes {searched:.0f} ms, {busy_seconds(session) - before:.2f} s of a processor, and JavaScript holds "
            f"{heap:.1f} MiB."
        )
    assert heap < 100
    assert ready < 10_000
    # Less than a frame at 60 Hz, and nothing that holds up more than three: of a processor, so that what else the
    # computer does counts little.
    assert scrolled["busy"] / scrolled["frames"] < 1 / 60
    assert scrolled["longest"] < 3 / 60


def scroll_to_the_end(page: Page) -> dict[str, float]:
    """Scrolls 133 pixels a frame, 8,000 a second at 60 Hz, and tells what the page's thread had to do for it."""
    browser = page.context.browser
    assert browser
    browser.start_tracing(page=page, categories=["toplevel"])
    scrolled: dict[str, float] = page.evaluate(
        """async () => {
          const gaps = [];
          const root = document.documentElement;
          for (let last = performance.now(); scrollY + innerHeight < root.scrollHeight - 5; scrollBy(0, 133)) {
            const now = await new Promise(requestAnimationFrame);
            gaps.push(now - last);
            last = now;
          }
          gaps.sort((a, b) => a - b);
          return { frames: gaps.length, middle: gaps[gaps.length >> 1], late: gaps.filter((gap) => gap > 33).length,
            height: root.scrollHeight };
        }"""
    )
    events = json.loads(browser.stop_tracing())["traceEvents"]
    renderer = {(one["pid"], one["tid"]) for one in events if one.get("args", {}).get("name") == "CrRendererMain"}
    tasks = [
        one["tdur"] / 1e6
        for one in events
        if one["name"] == "ThreadControllerImpl::RunTask" and "tdur" in one and (one["pid"], one["tid"]) in renderer
    ]
    return {**scrolled, "busy": sum(tasks), "longest": max(tasks)}


def busy_seconds(session: CDPSession) -> float:
    """What the page's thread has had of a processor: other programs do not count."""
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


def heap_of(session: CDPSession) -> float:
    """What the page's JavaScript holds, in MiB. The pictures themselves are not in it."""
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 2**20
