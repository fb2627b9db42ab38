"""The studio in a real browser: before an account in moto, with a worker that draws when the test says so."""

from __future__ import annotations

import io
import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from scripts.command_line.account.runs import run_names
from scripts.docs.waiting import wait_for
from scripts.studio import events
from scripts.studio.account import Account as Shown
from scripts.studio.answers import drawing, grids, looking
from scripts.studio.app import make_app
from scripts.studio.guard import Keys
from scripts.studio.pictures import see_run
from scripts.studio.preparation import Preparation
from scripts.studio.serve import listening
from tests.browser.axe import axe
from tests.unit.command_line.conftest import Account, account, refusal, session
from tests.unit.studio.conftest import Browser as Person
from tests.unit.studio.conftest import png_of
from userdata.job.job import Job

__all__ = ["account", "session"]
HOSTILE = "<img src=x onerror=alert(1)> a 'horse'"
PHONE = {"width": 390, "height": 800}


@pytest.fixture
def person(account: Account, monkeypatch: pytest.MonkeyPatch, page: Page) -> Iterator[Person]:
    """Somebody whose stack stands, with the studio open on `page`."""
    monkeypatch.setattr(looking, "EVERY_SECONDS", 0.1)
    monkeypatch.setattr(events, "MACHINE_SECONDS", 0.3)
    person = Person(account)
    person.deploy()
    with listening(0) as listener:
        keys = Keys(listener.getsockname()[1])
        shown = person.shown = Shown(person.open, "SdOnEc2")
        person.forget_session = shown.forget_session
        app = make_app(shown, keys)
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        page.goto(keys.link)
        yield person
        page.goto("about:blank")
        server.should_exit = True
        thread.join(20)


def wait_for_job(person: Person) -> Job:
    """The job that the page has sent."""
    deadline = time.monotonic() + 15
    while not (sent := person.sent()):
        assert time.monotonic() < deadline, "nothing was sent"
        time.sleep(0.05)
    return person.job(sent[0])


def test_images_arrive_one_by_one_while_the_next_prompt_is_typed(person: Person, page: Page) -> None:
    expect(page.locator("#machine")).to_contain_text("g6.xlarge costs $0.8048 an hour")
    page.get_by_label("Prompt", exact=True).fill(HOSTILE)
    page.get_by_role("textbox", name="Images").fill("2")
    expect(page.locator("#price")).to_contain_text("2 images on g6.xlarge: about")
    page.get_by_role("button", name="Draw", exact=True).click()
    job = wait_for_job(person)
    assert (job.prompt, job.images_total) == (HOSTILE, 2)
    page.get_by_label("Prompt", exact=True).fill("the next one")
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_label("Prompt", exact=True).fill("in another tab")
    person.draw(job, upto=1)
    pictures = page.locator(".picture img")
    expect(pictures).to_have_count(1)
    expect(other.locator(".picture img")).to_have_count(1)
    expect(other.get_by_label("Prompt", exact=True)).to_have_value("in another tab")
    other.close()
    person.draw(job)
    expect(pictures).to_have_count(2)
    expect(page.locator("#announced")).to_contain_text("has arrived")
    expect(page.locator(".doing")).to_contain_text("Done, 2 of 2 images.")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("the next one")
    assert pictures.first.get_attribute("alt") == f"Image 0: {HOSTILE}"
    expect(page.locator("#machine")).to_contain_text("Held until")

    pictures.last.click()
    details = page.locator("#details")
    expect(details).to_contain_text(HOSTILE)
    assert axe(page) == []
    details.get_by_role("button", name="Use seed").click()
    expect(details).to_be_hidden()
    expect(page.get_by_label("Seed (-1 draws one)")).to_have_value(str(job.seed + 1))
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("the next one")
    page.reload()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("the next one")
    expect(pictures).to_have_count(2)


def test_a_refusal_stands_beside_its_field_and_no_aws_keeps_what_was_typed(person: Person, page: Page) -> None:
    page.get_by_label("Prompt", exact=True).fill("a horse")
    page.get_by_role("textbox", name="Images").fill("many")
    field = page.locator("#refusal-Samples")
    expect(field).to_have_text("Samples is 'many', but must be a whole number from 1 to 16, for example 3.")
    expect(page.get_by_role("textbox", name="Images")).to_have_attribute("aria-invalid", "true")
    page.get_by_role("textbox", name="Images").fill("3")
    expect(field).to_be_hidden()
    person.account.session.events.register_first("before-call", refusal("ExpiredToken"))
    person.forget_session()  # its clients have the events that there were when they were made
    expect(page.locator("#machine")).to_contain_text("Log in again: `aws sso login`")
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator("#price")).to_contain_text("AWS says ExpiredToken")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a horse")
    assert axe(page) == []


def test_a_dropped_picture_restores_its_job_and_another_file_gets_a_sentence(person: Person, page: Page) -> None:
    drop(page, png_of(Job(model="demo", prompt=HOSTILE, ddim_steps=9, seed=5), 2))
    expect(page.get_by_label("Prompt", exact=True)).to_have_value(HOSTILE)
    expect(page.locator("#field-Steps")).to_have_value("9")
    expect(page.get_by_label("Seed (-1 draws one)")).to_have_value("7")
    drop(page, b"GIF89a")
    expect(page.locator("#drop-told")).to_contain_text("This file does not say what it was made from")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value(HOSTILE)


def drop(page: Page, content: bytes) -> None:
    """Lets a file fall on the page, as a person does with the mouse."""
    carried = page.evaluate_handle(
        """bytes => { const carried = new DataTransfer();
        carried.items.add(new File([new Uint8Array(bytes)], "<b>a.png")); return carried; }""",
        list(content),
    )
    page.dispatch_event("#runs", "drop", {"dataTransfer": carried})


def test_a_mask_is_painted_with_the_mouse_a_finger_and_the_keyboard(person: Person, page: Page) -> None:
    run_id = person.draw(Job(model="demo", prompt="a horse", n_iter=1, n_samples=1))
    page.reload()
    page.locator(".picture button").click()
    page.get_by_role("button", name="Redraw a part…").click()
    canvas = page.locator("#mask-canvas")
    expect(canvas).to_be_visible()
    box = canvas.bounding_box()
    assert box
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 40, steps=4)
    page.mouse.up()
    canvas.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "Space"):
        page.keyboard.press(key)
    expect(page.locator("#mask-told")).to_contain_text("percent is painted")
    page.set_viewport_size({"width": 700, "height": 320})  # a phone on its side: the image fills half of the width
    Finger(page).moves(canvas, (0.35, 0.8), (0.55, 0.8))
    assert axe(page) == []
    page.get_by_role("button", name="Use this mask").click()
    expect(page.locator("#start-image")).to_contain_text("within the mask")
    page.get_by_label("Prompt", exact=True).fill("a dog")
    page.get_by_role("button", name="Draw", exact=True).click()
    job = wait_for_job(person)
    assert run_id in job.init_img
    mask = Image.open(io.BytesIO(person.read(job.init_mask))).convert("L")
    assert mask.size == (128, 128)
    white = sum(mask.histogram()[128:])
    assert 128 < white < 128 * 128 / 2
    assert mask.getpixel((0, 127)) == 0
    assert mask.getpixel((40, 30)) == 255, "what the keyboard has painted, below the mouse's line"
    painted = [mask.getpixel((x, 102)) for x in (30, 50, 70, 120)]
    assert painted == [255, 255, 255, 0], "what the finger has painted"


def test_what_has_just_come_can_be_pressed_at_once(person: Person, page: Page) -> None:
    person.draw(Job(model="demo", prompt="a horse", n_iter=1, n_samples=1))
    page.add_init_script(
        """new MutationObserver((_, one) => {
          const button = document.querySelector('.picture button');
          if (!button) return;
          one.disconnect();
          button.click();
        }).observe(document, { childList: true, subtree: true });"""
    )
    page.reload()
    expect(page.locator("#details")).to_be_visible()


class Finger:
    """A finger on the page, as the browser hears of one from a touch screen."""

    def __init__(self, page: Page) -> None:
        self._browser = page.context.new_cdp_session(page)
        self._browser.send("Emulation.setTouchEmulationEnabled", {"enabled": True})

    def moves(self, over: Locator, *places: tuple[float, float]) -> None:
        """Touches the first place, moves to the others, and leaves; places are shares of the element's sides."""
        over.scroll_into_view_if_needed()
        box = over.bounding_box()
        assert box
        points = [(box["x"] + across * box["width"], box["y"] + down * box["height"]) for across, down in places]
        steps = [points[0]]
        for (x, y), (to_x, to_y) in itertools.pairwise(points):
            steps += [(x + (to_x - x) * k / 5, y + (to_y - y) * k / 5) for k in range(1, 6)]
        for kind, (x, y) in zip(["touchStart", *["touchMove"] * (len(steps) - 1)], steps, strict=True):
            self._browser.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        self._browser.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def taps(self, element: Locator) -> None:
        """Touches the middle of the element for a moment."""
        self.moves(element, (0.5, 0.5))


def test_the_keyboard_alone_draws_and_looks(person: Person, page: Page) -> None:
    expect(page.get_by_label("Prompt", exact=True)).to_be_focused()
    page.keyboard.type("a horse")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Control+Enter")
    assert person.sent() == [], "only in the prompt"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Control+Enter")
    job = wait_for_job(person)
    assert job.ddim_steps == 8, "the dial is at draft"
    expect(page.locator("#draw")).to_be_enabled()  # its answer is here, which would take the place of a card with focus
    person.draw(job)
    expect(page.locator(".picture")).to_have_count(4)
    page.locator(".picture button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#details")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#details")).to_be_hidden()
    expect(page.locator(".picture button").first).to_be_focused()
    page.get_by_role("button", name="Teardown…").focus()
    person.post("/awake")
    expect(page.locator("#machine")).to_contain_text("Held until")
    expect(page.get_by_role("button", name="Teardown…")).to_be_focused()


def test_a_grid_fills_a_table_and_it_all_fits_a_phone_also_in_the_dark(
    person: Person, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its runs appear one by one before the answer to its press comes, and then stand in the table alone."""
    may_answer, table = threading.Event(), grids._table
    monkeypatch.setattr(grids, "_table", lambda *one, **more: may_answer.wait(15) and table(*one, **more))
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.get_by_label("Prompt", exact=True).fill("a horse")
    page.get_by_text("X/Y grid").click()
    page.get_by_label("X, across").select_option("Steps")
    page.get_by_label("Values of X").fill("2,3")
    page.get_by_label("Y, down").select_option("GuidanceScale")
    page.get_by_label("Values of Y").fill("1,5")
    expect(page.locator("#price")).to_contain_text("The grid: 4 images")
    page.get_by_role("button", name="Draw the grid").click()
    expect(page.locator("#runs > article")).to_have_count(4)
    may_answer.set()
    expect(page.get_by_role("columnheader", name="Steps 3")).to_be_visible()
    expect(page.get_by_role("rowheader", name="GuidanceScale 5")).to_be_visible()
    deadline = time.monotonic() + 15
    while len(sent := set(person.sent())) < 4:
        assert time.monotonic() < deadline
    for run_id in sent:
        person.draw(person.job(run_id))
    expect(page.locator("td .picture")).to_have_count(4)
    expect(page.locator("#runs > article")).to_have_count(1)
    finger = Finger(page)
    finger.taps(page.locator("td .picture button").first)
    expect(page.locator("#details")).to_be_visible()
    finger.taps(page.locator("#details").get_by_role("button", name="Close"))
    expect(page.locator("#details")).to_be_hidden()
    finger.moves(page.locator(".scrolls"), (0.9, 0.5), (0.1, 0.5))
    wait_for(page, "document.querySelector('.scrolls').scrollLeft > 0")
    address = page.get_by_role("link", name="This grid alone").get_attribute("href")
    page.get_by_text("All options").click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the phone"
    assert axe(page) == []
    page.get_by_role("button", name="Stop…").click()
    expect(page.locator("#details")).to_contain_text("$8.00 a month")
    page.get_by_role("button", name="Leave it running").click()
    assert person.account.state() == "running"
    page.evaluate("address => { location.href = address; }", address)
    expect(page.locator("main.alone td .picture")).to_have_count(4)
    assert axe(page) == []
    page.locator("td .picture button").last.click()
    page.get_by_role("button", name="Use all").click()
    expect(page.locator("#field-Steps")).to_have_value("3")


def test_what_is_pressed_before_the_local_cloud_is_there_is_sent_when_it_is(person: Person, page: Page) -> None:
    preparation = person.shown.preparation = Preparation("demo", done=2)
    person.forget_session()
    page.reload()
    expect(page.locator("#machine")).to_contain_text("The local cloud is being prepared: the template is made")
    expect(page.locator("#price")).to_contain_text("it is sent once the local cloud is there")
    assert "25 steps at 128" in page.locator(".dial").inner_text()
    for prompt in (HOSTILE, "a dog"):
        page.get_by_label("Prompt", exact=True).fill(prompt)
        page.get_by_role("button", name="Draw", exact=True).click()
        expect(page.locator(".kept h2", has_text=prompt)).to_be_visible()
    page.get_by_label("Prompt", exact=True).fill("a cat")
    page.get_by_role("textbox", name="Images").fill("99")
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator(".kept")).to_have_count(3)
    page.get_by_label("Prompt", exact=True).fill("what I type")
    page.reload()
    expect(page.locator(".kept")).to_have_count(3)
    preparation.done = 3
    expect(page.locator("#machine")).to_contain_text("the stack is created")
    assert (axe(page), person.sent()) == ([], [])
    page.evaluate(
        "most = 0; new MutationObserver(() => { most = Math.max(most, document.querySelectorAll('#runs h2').length); })"
        ".observe(document.getElementById('runs'), { childList: true, subtree: true })"
    )
    preparation.end()
    expect(page.locator("#machine")).to_contain_text("costs $0.8048 an hour")
    expect(page.locator("#runs article", has_text="is drawn.")).to_have_count(2)
    expect(page.locator("#machine")).to_contain_text("Held until")
    # The page asks for its runs once the cloud is there, here once more: what it has already is never painted twice.
    page.evaluate("htmx.ajax('GET', '/runs', { target: '#runs', swap: 'beforeend' })")
    assert sorted(page.locator("#runs h2").all_inner_texts()) == sorted([HOSTILE, "a dog", "a cat"])
    assert page.evaluate("most") == 3
    expect(page.locator(".kept .refusal")).to_contain_text("Samples is '99', but must be")
    assert sorted(person.job(one).prompt for one in person.sent()) == sorted([HOSTILE, "a dog"])
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("what I type")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with page.expect_request("**/runs"):  # the new stream has told all by then
        look_away(page)
        look_again(page)
    assert not [address for address in asked if address.endswith("/start")], "what was kept is started once"


def look_away(page: Page, *, hidden: bool = True) -> None:
    """As when a person goes to another tab."""
    page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true }); "
        "document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def look_again(page: Page) -> None:
    """And comes back."""
    look_away(page, hidden=False)


def test_a_press_is_sent_once_also_where_a_key_is_held_or_pressed_again(
    person: Person, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_answer = threading.Event()
    monkeypatch.setattr(drawing, "see_run", lambda *one: may_answer.wait(15) and see_run(*one))
    monkeypatch.setattr(grids, "see_run", lambda *one: may_answer.wait(15) and see_run(*one))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.url.endswith(("generate", "grid")) else None)
    draw, grid = (page.get_by_role("button", name=name, exact=True) for name in ("Draw", "Draw the grid"))
    page.get_by_label("Prompt", exact=True).fill("a horse")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Control+Enter")
    expect(draw).to_be_disabled()
    may_answer.set()
    expect(draw).to_be_enabled()
    assert len(sent) == 1
    page.get_by_role("textbox", name="Images").focus()
    for _ in range(2):  # as a keyboard does while a key is held
        page.keyboard.down("Enter")
        expect(draw).to_be_enabled()
    page.keyboard.up("Enter")
    assert len(sent) == 2
    page.get_by_text("X/Y grid").click()
    page.get_by_label("X, across").select_option("Steps")
    page.get_by_label("Values of X").fill("2,3")
    may_answer.clear()
    grid.dblclick()
    expect(grid).to_be_disabled()
    may_answer.set()
    expect(grid).to_be_enabled()
    expect(page.locator("table")).to_have_count(1)
    assert len(sent) == 3


def test_what_is_told_of_a_run_before_its_card_comes_is_shown(
    person: Person, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream tells of it, and its images come, before the answer to the press: that has none of them yet."""
    may_answer = threading.Event()

    def see_and_wait(*one: Any) -> Any:
        seen = see_run(*one)
        may_answer.wait(15)
        return seen

    monkeypatch.setattr(drawing, "see_run", see_and_wait)
    asked: list[Route] = []
    page.route("**/runs/a-horse-*", lambda route: asked.append(route))
    # Once as the page came, and once as the stream had looked, which tells from then on.
    wait_for(page, "performance.getEntriesByType('resource').filter(one => one.name.endsWith('/runs')).length > 1")
    page.get_by_label("Prompt", exact=True).fill("a horse")
    with page.expect_request("**/runs/a-horse-*"):
        page.get_by_role("button", name="Draw", exact=True).click()
    person.draw(wait_for_job(person))
    wait_for(page, "early.length > 4")
    may_answer.set()
    expect(page.locator("#draw")).to_be_enabled()
    asked[0].continue_()
    expect(page.locator(".picture")).to_have_count(4)
    expect(page.locator(".doing")).to_have_text("Done, 4 of 4 images.")


def test_a_run_from_a_terminal_appears(person: Person, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that is there before the stream has looked, or while the page is hidden."""
    may_look = threading.Event()
    monkeypatch.setattr(events, "run_names", lambda *one: may_look.wait(15) and run_names(*one))
    page.reload()
    expect(page.locator("#runs")).to_contain_text("No images yet")
    person.draw(Job(model="demo", prompt="before the look", n_iter=1, n_samples=1))
    may_look.set()
    expect(page.locator("#runs h2")).to_have_text("before the look")
    expect(page.locator("#runs")).not_to_contain_text("No images yet")
    person.draw(Job(model="demo", prompt="from elsewhere"), upto=1)
    expect(page.locator("#runs h2")).to_have_text(["from elsewhere", "before the look"])
    person.draw(Job(model="demo", prompt="from elsewhere"))
    expect(page.locator(".picture")).to_have_count(1 + 6)
    look_away(page)
    person.draw(Job(model="demo", prompt="while nobody looked", n_iter=1, n_samples=1))
    look_again(page)
    expect(page.locator("#runs h2")).to_have_text(["while nobody looked", "from elsewhere", "before the look"])
    # A studio that was started again knows this tab's cookie no more, until somebody opens its link.
    cookies = page.context.cookies()
    page.context.clear_cookies()
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator("#away")).to_contain_text("was started again")
    expect(page.locator("#away")).to_be_visible()
    expect(page.locator("#runs")).not_to_contain_text("This page belongs")
    page.context.add_cookies(cookies)  # type: ignore[arg-type]  # Playwright reads other cookies than it takes
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator("#away")).to_be_hidden()


def test_a_run_that_was_interrupted_is_followed_once_its_instance_is_started(person: Person, page: Page) -> None:
    page.get_by_label("Prompt", exact=True).fill("a horse")
    page.get_by_role("textbox", name="Images").fill("2")
    page.get_by_role("button", name="Draw", exact=True).click()
    job = wait_for_job(person)
    person.draw(job, upto=1)
    pictures, doing = page.locator(".picture img"), page.locator(".doing")
    expect(pictures).to_have_count(1)
    person.account.ec2.stop_instances(InstanceIds=[person.account.instance_id])
    page.reload()
    expect(doing).to_contain_text("Interrupted, 1 of 2 images.")
    page.get_by_role("button", name="Start it").click()
    expect(doing).not_to_contain_text("Interrupted")
    person.draw(job)
    expect(pictures).to_have_count(2)
    expect(doing).to_contain_text("Done, 2 of 2 images.")


def test_the_machine_is_held_while_the_page_is_used_and_not_while_it_is_only_open(person: Person, page: Page) -> None:
    page.clock.install()
    page.reload()
    page.clock.fast_forward(61_000)
    page.get_by_label("Prompt", exact=True).press("a")
    assert person.hold() is None, "only open"
    with page.expect_response("**/awake"):
        page.clock.fast_forward(61_000)
    expect(page.locator("#kept")).to_contain_text("for your next prompt. That costs about $0.13.")
    assert person.hold()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.fast_forward(6 * 61_000)
    page.clock.fast_forward(61_000)
    assert not [address for address in asked if "awake" in address]
