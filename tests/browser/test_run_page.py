"""The page of a run, by `file://`, as a person meets it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from scripts.command_line.gallery.local_run import write_page
from scripts.docs.waiting import wait_for
from tests.browser.axe import axe
from tests.browser.written_runs import write_run
from tests.unit.page.machine_shares import share
from tests.unit.page.records import HOSTILE
from userdata.page.html import shared_page
from userdata.page.script import to_script
from userdata.page.shard import MOST_IN_SHARD, Shard

PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of four images whose prompt is hostile."""
    return write_run(tmp_path_factory.mktemp("results"), "a-run", prompt=HOSTILE).folder / "index.html"


def open_run(page: Page, run: Path) -> None:
    page.goto(run.as_uri())
    expect(page.locator(".card")).to_have_count(4)


def test_by_keyboard_alone_from_the_sheet_to_an_image_and_back(page: Page, run: Path) -> None:
    open_run(page, run)
    for _ in range(9):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.card')"):
            break
    page.keyboard.press("ArrowRight")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="00001.png: 2 of 4")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog", name="00002.png: 3 of 4")).to_be_visible()
    assert page.evaluate("document.getElementById('full').decode().then(() => true)")
    page.keyboard.press("End")
    expect(page.get_by_role("button", name="Next image")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator(".card[data-at='3']")).to_be_focused()


def test_a_hostile_prompt_is_text_in_the_page_in_its_command_and_on_the_clipboard(page: Page, run: Path) -> None:
    open_run(page, run)
    page.evaluate("navigator.clipboard.writeText = async (text) => { globalThis.copied = text; }")
    assert page.title().startswith("</script><img src=x")
    assert page.locator("img[src='x'], script[src='x']").count() == 0
    assert page.locator(".card img").first.get_attribute("alt") == HOSTILE
    page.locator(".card").first.click()
    assert page.locator("#details p.text").first.evaluate("(one) => one.textContent") == HOSTILE

    page.get_by_role("button", name="Copy the prompt").click()
    assert page.evaluate("copied") == HOSTILE
    page.get_by_role("button", name="Copy the command", exact=True).click()
    command = page.evaluate("copied")
    assert command.isascii()
    assert command.isprintable()
    words = subprocess.run(
        ["bash", "-c", f'set -- {command}; printf "%s\\0" "$@"'],
        capture_output=True,
        check=True,
        text=True,
        env={"LC_ALL": "C.UTF-8"},
    ).stdout.split("\0")
    assert words[:3] == ["sd", "generate", HOSTILE]
    assert {"--seed=42", "--model=demo", "--samples=1"} <= {*words}


def test_without_a_clipboard_the_text_is_copied_all_the_same(page: Page, run: Path) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    open_run(page, run)
    page.evaluate("addEventListener('copy', () => { globalThis.copied = String(document.activeElement.value); })")
    page.evaluate("globalThis.setTimeout = () => 0")  # what is told for 1.5 seconds stays until this test has looked
    page.locator(".card").first.click()
    button = page.get_by_role("button", name="Copy the prompt")
    button.click()
    expect(page.get_by_role("button", name="Copied")).to_be_focused()
    assert page.evaluate("copied").startswith("</script>")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_a_phone_and_nothing_is_wider_than_it(
    page: Page, run: Path, scheme: str, tmp_path: Path
) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    open_run(page, run)
    page.locator("summary").click()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(19, 18, 23)") == (scheme == "dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert axe(page) == []
    page.locator(".card").first.click()
    assert page.evaluate("document.getElementById('viewer').scrollWidth") <= PHONE["width"]
    assert page.evaluate("document.getElementById('full').clientWidth") > PHONE["width"] * 0.9
    assert axe(page) == []


def test_times_receipt_and_gpu_are_told_in_words_too(page: Page, run: Path) -> None:
    open_run(page, run)
    page.locator("summary").click()
    expect(page.get_by_role("heading", name="$0.0320, $0.0080 an image")).to_be_visible()
    expect(page.get_by_role("row", name="weights 49 s")).to_be_visible()
    expect(page.get_by_role("img", name="The GPU was busy")).to_be_visible()


def test_where_the_image_is_not_here_the_thumbnail_is_shown_and_says_so(page: Page, tmp_path: Path) -> None:
    run = write_run(tmp_path, "a-run").folder
    for image in run.rglob("*.png"):
        image.unlink()
    open_run(page, run / "index.html")
    page.locator(".card").first.click()
    expect(page.locator("#full-note")).to_contain_text("sd gallery --full a-run")
    wait_for(page, "document.getElementById('full').naturalWidth === 128")


def test_a_page_before_its_run_has_ended_says_so(page: Page, run: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_bytes(run.read_bytes())
    page.goto((tmp_path / "index.html").as_uri())
    expect(page.get_by_role("heading", name="This page has nothing to show yet")).to_be_visible()


def test_a_shared_page_needs_nothing_beside_it(page: Page, run: Path, tmp_path: Path) -> None:
    shard = (run.parent / "page/shards/000000.js").read_bytes()
    links = {
        str(image.index): ["https://bucket/full?a=1&b", "https://bucket/small"]
        for image in Shard.from_script(shard).images
    }
    facts = (run.parent / "page/run.js").read_bytes().replace(b'"000000"', b"")
    data = [facts, shard, to_script("links", {"images": links})]
    (tmp_path / "page.html").write_bytes(shared_page(data, images_from="https://bucket", note="Until noon."))
    open_run(page, tmp_path / "page.html")
    expect(page.get_by_text("Until noon.")).to_be_visible()
    assert page.locator(".card").first.get_attribute("href") == "https://bucket/full?a=1&b"


def test_of_many_images_those_are_made_that_one_scrolls_to_and_nothing_moves(page: Page, tmp_path: Path) -> None:
    """To the last one by a key; in a narrower window, too, it keeps the focus, and all of them are printed.

    Above them stand the batch's times and cost.
    """
    run = write_run(tmp_path, "many", images=250, pixels=False, prompt="a horse", n_iter=25, n_samples=10)
    (run.folder / "report.json").unlink()
    (run.folder / "machines").mkdir()
    (run.folder / "machines/i-1.json").write_bytes(share().to_json())
    write_page(run.folder)
    page.goto((run.folder / "index.html").as_uri())
    wait_for(page, "!document.getElementById('search').hidden")  # all is read; the facts are shown before
    page.locator("#how summary").click()
    expect(page.locator("#panels")).to_contain_text("200 images an hourBegan2026-11-29 10:00 UTC")
    expect(page.locator("#panels")).to_contain_text(
        "$0.50, $0.0020 an image1 x g6.xlarge, on-demand0.417 hours of work"
    )
    assert page.locator("#panels th").first.evaluate("(one) => one.clientHeight") < 40
    assert 0 < page.locator(".card").count() < 200
    height = page.evaluate("document.documentElement.scrollHeight")
    page.locator(".card").first.press("End")
    assert page.evaluate("document.activeElement.dataset.at") == "249"
    assert page.locator(".card").count() < 250
    assert page.evaluate("document.documentElement.scrollHeight") == pytest.approx(height, abs=2)
    page.set_viewport_size({"width": 700, "height": 800})
    wait_for(page, "document.documentElement.scrollHeight > 1.5 * " + str(height))
    assert page.evaluate("document.activeElement.dataset.at") == "249"
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.locator(".card")).to_have_count(250)


def test_the_last_images_to_be_read_leave_the_focus_where_it_is(page: Page, tmp_path: Path) -> None:
    run = write_run(tmp_path, "many", images=MOST_IN_SHARD + 1, pixels=False, prompt="a horse", n_iter=51, n_samples=10)
    late: list[Route] = []
    page.route("**/shards/000001.js", lambda route: late.append(route))
    page.goto((run.folder / "index.html").as_uri(), wait_until="commit")
    page.locator(".card").first.press("ArrowRight")
    expect(page.locator(".card[data-at='1']")).to_be_focused()
    expect(page.locator("#search")).to_be_hidden()
    (held,) = late
    held.continue_()
    expect(page.locator("#search")).to_be_visible()
    expect(page.locator(".card[data-at='1']")).to_be_focused()
