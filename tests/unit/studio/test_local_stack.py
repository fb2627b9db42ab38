"""What the studio answers while the local cloud is being prepared, and what it keeps of a synthesis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scripts.command_line.terminal.command_error import CommandError
from scripts.studio import assembly
from scripts.studio.answers import looking
from scripts.studio.assembly import kept_assembly
from scripts.studio.events import News
from scripts.studio.pictures import latest_runs
from scripts.studio.preparation import Preparation
from tests.unit.studio.conftest import FRAGMENT, Browser
from userdata.job.job import Job


def test_presses_wait_for_the_local_cloud_and_are_sent_in_their_order(browser: Browser) -> None:
    preparation = browser.shown.preparation = Preparation("demo")
    news = News(browser.shown, [])
    assert browser.get("/status").json()["trouble"].startswith("The local cloud is not there yet: the emulated account")
    assert "is being prepared: the emulated account" in "".join(news.come())
    early = browser.post("/generate", Prompt="a horse", Seed="1")
    assert (early.status_code, early.json()["state"]) == (202, "kept")
    browser.post("/generate", Prompt="a dog", Samples="many")
    browser.post("/grid", Prompt="a cat", X="Steps", Xs="2,3", Seed="1")
    assert browser.get("/runs/a/images/0").json()["error"].startswith("The local cloud is not there yet")
    assert browser.opened == 0, "nothing is asked of an account before"

    browser.deploy()
    preparation.end()

    assert sorted(browser.job(one).prompt for one in browser.sent()) == ["a cat", "a cat", "a horse"]
    told = [one for one in news.come() if one.startswith("event: kept")]
    assert ["a horse" in told[0], "Samples is &#39;many&#39;" in told[1], "<table>" in told[2]] == [True] * 3
    assert not [one for one in news.come() if one.startswith("event: kept")]
    assert browser.post("/generate", Prompt="a bird").json()["is_new"]
    end = browser.client.get("/teardown")
    assert "Ctrl-C" in end.text
    assert "sd teardown" not in end.text, "in a terminal it would delete the person's own stack"


def test_a_local_cloud_that_fails_says_so_and_so_does_what_was_kept(browser: Browser) -> None:
    preparation = browser.shown.preparation = Preparation("demo")
    browser.post("/generate", Prompt="a horse")
    preparation.end("The local cloud has not started.")
    assert browser.get("/status").json()["trouble"] == "The local cloud has not started."
    assert browser.post("/generate", Prompt="a").json()["refusals"][""] == "The local cloud has not started."
    assert "The local cloud has not started." in "".join(News(browser.shown, []).come())
    assert [one.refused for one in preparation.kept] == ["The local cloud has not started."]


def test_the_run_of_a_press_appears_in_its_place_and_not_beside_it(browser: Browser) -> None:
    preparation = browser.shown.preparation = Preparation("demo")
    browser.post("/generate", Prompt="a horse")
    browser.deploy()
    preparation.done = preparation.total
    browser.draw(Job(prompt="a horse", model="demo"))
    news = News(browser.shown, [])
    told = "".join(news.come())
    assert "event: machine" in told
    assert "event: known" not in told, "the page would look at the list, where the run is, too"
    preparation.end()
    assert [one.split("\n")[0] for one in news.come()] == ["event: kept", "event: known"]


def test_an_error_of_the_studio_s_own_costs_one_press_and_not_those_behind_it(browser: Browser) -> None:
    preparation = browser.shown.preparation = Preparation("demo")
    preparation.keep("a horse", lambda: str(1 // 0))
    browser.post("/generate", Prompt="a dog")
    browser.deploy()
    preparation.end()
    assert preparation.kept[0].refused == "The studio has an error of its own (ZeroDivisionError)."
    assert [browser.job(one).prompt for one in browser.sent()] == ["a dog"]


def test_a_press_that_is_sent_while_the_runs_are_read_is_on_the_page(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    preparation = browser.shown.preparation = Preparation("demo")
    browser.post("/generate", Prompt="a horse")
    browser.deploy()
    preparation.done = preparation.total

    def send_behind_it(*one: Any, **more: Any) -> Any:
        found = latest_runs(*one, **more)
        preparation.end()
        return found

    monkeypatch.setattr(looking, "latest_runs", send_behind_it)
    assert "a horse" in browser.client.get("/runs", headers=FRAGMENT).text


def test_the_template_is_synthesized_once_for_what_it_follows_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, said = tmp_path / "checkout", [0, 0, 1]
    (root / "stacks").mkdir(parents=True)
    source = root / "stacks/a.py"
    source.write_text("1")
    asked: list[Sequence[str]] = []

    def cdk(session: Any, words: Sequence[str], output: Path) -> int:
        asked.append(words)
        output.mkdir()
        (output / "from").write_text(source.read_text())
        return said[len(asked) - 1]

    monkeypatch.setattr(assembly, "ROOT", root)
    monkeypatch.setattr(assembly, "cdk", cdk)
    session: Any = None
    place = tmp_path / "kept"
    first = kept_assembly(session, "One", {"az": "a"}, place)
    assert kept_assembly(session, "One", {"az": "a"}, place) == first
    assert asked == [["synth", "One", "--quiet", "--context", "az=a", "--context", "stack=One"]]
    source.write_text("2")
    second = kept_assembly(session, "One", {"az": "a"}, place)
    assert (second / "from").read_text() == "2"
    assert [*place.iterdir()] == [second], "the one before is of no more use"
    with pytest.raises(CommandError, match="`cdk synth` failed"):
        kept_assembly(session, "Two", {}, place)
    assert [*place.iterdir()] == [second]
