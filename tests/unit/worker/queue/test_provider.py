"""A job for another model than the boot has provided."""

from __future__ import annotations

import dataclasses
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler

import pytest

from tests.unit.boot.loopback import reply, serving
from tests.unit.worker.queue.conftest import SMALL, Work
from userdata.contract.bundle import BUNDLE
from userdata.contract.layout import Folders
from userdata.contract.log_lines import log_output
from userdata.contract.worker_environment import FAILED_FOR_NOW
from userdata.job.job import Job
from userdata.job.run_error import PassingRunError, RunError, Stopped
from userdata.worker.process.settings import Settings
from userdata.worker.queue import provider
from userdata.worker.queue.provider import Provider


class Asked:
    """A provider, and how often it had to fetch."""

    def __init__(self, work: Work, monkeypatch: pytest.MonkeyPatch, hub: str = "http://127.0.0.1:9") -> None:
        settings = work.settings
        for name, value in {
            "SD_BUCKET": settings.bucket,
            "SD_INSTANCE_ID": settings.instance_id,
            "SD_INSTANCE_TYPE": settings.instance_type,
            "SD_BOOT_STARTED_AT": "2026-01-01T00:00:00.000Z",
            "SD_WEIGHTS_URL": hub,
        }.items():
            monkeypatch.setenv(name, value)
        self._provider = Provider(settings, {**work.parameters, "Cache": "off"}, work.stop)
        self.fetched = 0

    def provide(self, *, batch: str | None = None, **given: str) -> Settings:
        return self._provider.provide(Job(**{**SMALL, **given}), self._fetches, batch=batch)

    def _fetches(self) -> None:
        self.fetched += 1


def test_the_boots_own_code_provides_another_model_once(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Folders().bundle
    bundle.parent.mkdir(parents=True)
    bundle.symlink_to(BUNDLE.root.parent)
    asked = Asked(work, monkeypatch)
    assert asked.provide(prompt="a tree", sampler="euler") == work.settings
    assert asked.fetched == 0
    for prompt in ("a tree", "a horse"):
        settings = asked.provide(model="demo", prompt=prompt)
        assert settings.model_folder.resolve() == BUNDLE.models / "demo"
        assert (settings.bucket, settings.compiled) == (work.settings.bucket, work.settings.compiled)
    assert asked.fetched == 1
    assert asked.provide() == work.settings


def test_what_cannot_be_had_is_told_in_one_sentence_and_a_stop_waits_for_nothing(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_hub, is_over = threading.Event(), threading.Event()

    def gated_then_silent(handler: BaseHTTPRequestHandler) -> None:
        if asked_hub.is_set():
            work.stop.set()
            is_over.wait(60)
        asked_hub.set()
        reply(handler, 401)

    with serving(gated_then_silent) as hub:
        asked = Asked(work, monkeypatch, hub.url)
        with pytest.raises(RunError, match=r"^What the run is drawn with cannot be had\. .*behind an agreement"):
            asked.provide(model="hf:somebody/models/horses.safetensors", safety_checker="off")
        with pytest.raises(Stopped):
            asked.provide(model="hf:somebody/models/horses.safetensors", safety_checker="off")
        is_over.set()


def test_a_stop_that_ends_what_fetches_before_it_is_heard_here_is_no_failure(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd signals all processes of the unit."""
    monkeypatch.setattr(provider, "COMMAND", "no_such_module")
    monkeypatch.setattr(work.stop, "wait", time.sleep)
    work.stop.set()
    with pytest.raises(Stopped):
        Asked(work, monkeypatch).provide(model="demo")


def test_a_fetch_that_broke_off_may_be_tried_again(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that the system ended for want of memory; what it said last is read to its end, however late."""

    def late(output: Iterable[bytes], last: deque[str]) -> None:
        time.sleep(2)
        log_output(output, last)

    monkeypatch.setattr(provider, "log_output", late)
    monkeypatch.setattr(provider, "COMMAND", "no_such_module")
    asked = Asked(work, monkeypatch)
    with pytest.raises(PassingRunError, match=r"broke off \(.*No module named no_such_module\)"):
        asked.provide(model="demo")


def test_the_units_of_a_batch_look_once_for_a_file_that_could_be_replaced(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Provider, "_fetch", lambda _self, _job: work.settings)
    asked = Asked(work, monkeypatch)
    fetched = []
    for batch in ("a", "a", "b", None, None):
        asked.provide(batch=batch, vae="inputs/fine.safetensors")
        fetched.append(asked.fetched)
    assert fetched == [1, 1, 2, 3, 4]


def test_what_has_made_room_for_others_is_provided_again(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of its own: other tests draw with the model's folder.
    own = shutil.copytree(work.settings.model_folder, work.settings.state_directory / "own")
    work.settings = dataclasses.replace(work.settings, model_folder=own)
    asked = Asked(work, monkeypatch)
    assert asked.provide(prompt="a tree") == work.settings
    shutil.rmtree(own)
    monkeypatch.setattr(provider, "COMMAND", "no_such_module")
    with pytest.raises(PassingRunError):
        asked.provide(prompt="a tree")
    assert asked.fetched == 1


def test_a_cause_that_passes_by_itself_ends_no_run(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    module = work.settings.state_directory / "sd_busy_hub.py"
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_text(f"print('The hub is busy.'); raise SystemExit({FAILED_FOR_NOW})")
    monkeypatch.setenv("PYTHONPATH", str(module.parent))
    monkeypatch.setattr(provider, "COMMAND", module.stem)
    with pytest.raises(PassingRunError, match=r"cannot be had\. The hub is busy\.$"):
        Asked(work, monkeypatch).provide(model="demo")
