"""What the queues hold is done, once each, by a machine that then goes; and nothing that is asked for is lost."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from PIL import Image

from tests.unit.worker.queue.conftest import SMALL, Work
from userdata.contract.layout import Folders, RunKeys
from userdata.contract.patience import Patience
from userdata.contract.run_name import run_name
from userdata.contract.tries import Tries, read_tries
from userdata.contract.work import BATCH, INTERACTIVE, write_message
from userdata.job.job import Job
from userdata.job.job_document import write_job
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.loaded import make_drawing
from userdata.worker.loaded.loaded import Loaded
from userdata.worker.model.pipeline import load_pipeline
from userdata.worker.queue import inbox, receiver, serve, whole_run
from userdata.worker.queue.queues import Message, Queues
from userdata.worker.queue.serve import DeviceLostError
from userdata.worker.run import run
from userdata.worker.run.attempt import Attempt
from userdata.worker.run.run import Outcome, Queued

NOTHING = (0, 0)
Did = list[tuple[str, str]]


def test_runs_are_drawn_with_one_loaded_model_and_each_tells_of_itself_alone(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Any] = []

    def load(*words: Any, **options: Any) -> Any:
        loaded.append(words)
        return load_pipeline(*words, **options)

    monkeypatch.setattr(make_drawing, "load_pipeline", load)
    timeline = work.settings.state_directory.parent / "machine/var/lib/sd-on-ec2/boot.json"
    timeline.parent.mkdir(parents=True)
    timeline.write_text(json.dumps({"phases": [{"phase": "boot", "started_at": "2026", "seconds": 9}]}))
    runs = [work.put_job(prompt="a horse"), work.put_job(prompt="a tree", sampler="euler")]
    began = datetime.now(UTC)
    for run_id in (*runs, runs[0]):
        work.send(INTERACTIVE, run_id)
    work.serve()
    took = (datetime.now(UTC) - began).total_seconds() / 3600

    assert len(loaded) == 1
    assert work.left(INTERACTIVE) == NOTHING
    for run_id in runs:
        keys = RunKeys(run_id)
        assert json.loads(work.bucket.get(keys.status) or b"")["phase"] == "done"
        assert versions(work.bucket, keys.image(0)) == 1, "drawn again for a second message"
        report = json.loads(work.bucket.get(keys.report) or b"")
        assert [phase["phase"] for phase in report["phases"]] == ["model", "generating", "uploading"]
        (receipt,) = report["cost"]["attempts"]
        assert datetime.fromisoformat(receipt["began"]) >= began
        (instance,) = [line for line in receipt["lines"] if line["item"] == "instance"]
        assert instance["quantity"] <= took, "more than its time, as of a machine that was started for it"
        log = (work.bucket.get(keys.log) or b"").decode()
        assert [other for other in runs if other in log] == [run_id]
        assert not (work.settings.state_directory / keys.prefix).exists()


def test_a_batch_gives_way_to_who_waits_and_goes_on(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, urgent = work.put_job(n_iter=3, prompt="many"), work.put_job(prompt="one")
    work.send(BATCH, batch)
    did: Did = []

    def told(*words: Any, queued: Queued, **options: Any) -> Outcome:
        if not did:  # somebody asks while the batch's first image is drawn
            work.send(INTERACTIVE, urgent)
            seen = iter([False])
            asks = queued.gives_way
            object.__setattr__(queued, "gives_way", lambda: next(seen, None) is None and until(asks))
        did.append((queued.run_id, "begins"))
        outcome = run.do_run(*words, queued=queued, **options)
        did.append((queued.run_id, outcome.name))
        return outcome

    monkeypatch.setattr(whole_run, "do_run", told)
    work.serve()
    gave_way, whole = [(batch, "begins"), (batch, "GAVE_WAY")], [(urgent, "begins"), (urgent, "DONE")]
    assert did == [*gave_way, *whole, (batch, "begins"), (batch, "DONE")]
    assert all(versions(work.bucket, RunKeys(batch).image(k)) == 1 for k in range(3))
    assert (work.left(INTERACTIVE), work.left(BATCH)) == (NOTHING, NOTHING)


def test_a_stop_gives_the_message_back_at_once(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    note = work.settings.state_directory / Folders().queued_run.name

    def asked_to_stop(queued: Queued) -> Outcome:
        assert (read_tries(note.read_text()) or Tries("")).work.run_id == queued.run_id
        assert work.left(INTERACTIVE) == (0, 1), "deleted before its run is over"
        work.stop.set()
        return Outcome.STOPPED

    fakes(work, monkeypatch, asked_to_stop)
    work.send(INTERACTIVE, work.put_job())
    work.serve(idle_seconds=60)
    assert work.left(INTERACTIVE) == (1, 0)
    assert not note.exists()


def test_what_fails_twice_through_no_fault_of_its_own_is_set_aside_and_blocks_nobody(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison, other = work.put_job(prompt="poison"), work.put_job(prompt="another")
    do, phases = Attempt.do, []

    def breaks(self: Attempt) -> None:
        if self._request.job.prompt == "poison":
            phases.append(json.loads(work.bucket.get(RunKeys(poison).status) or b"{}").get("phase"))
            raise RuntimeError("the card sees ghosts")
        do(self)

    monkeypatch.setattr(Attempt, "do", breaks)
    monkeypatch.setattr(serve, "REST_SECONDS", 1)
    work.bucket.put(RunKeys(poison).status, b'{"phase": "failed"}')  # of an earlier request, which does not count
    work.send(INTERACTIVE, poison)
    work.send(INTERACTIVE, other)
    work.serve()  # without an idle time: the run that rests keeps the machine up by itself
    ((body, reason),) = work.dead(INTERACTIVE)
    assert body == write_message(poison)
    assert "the card sees ghosts" in reason
    assert (phases[0], len(phases)) == ("failed", 2)
    assert phases[1] != "failed", "whoever waits would go before it is tried again"
    assert json.loads(work.bucket.get(RunKeys(poison).status) or b"")["phase"] == "failed"
    assert json.loads(work.bucket.get(RunKeys(other).status) or b"")["phase"] == "done"
    assert work.left(INTERACTIVE) == NOTHING


def test_what_rests_is_waited_for_although_sqs_hears_of_it_late(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "REST_SECONDS", 1)
    hide = Queues.hide

    def slowly(self: Queues, message: Message, *, seconds: int) -> None:
        time.sleep(1.5 * seconds)
        hide(self, message, seconds=seconds)

    monkeypatch.setattr(Queues, "hide", slowly)
    outcomes = iter([Outcome.BROKE, Outcome.DONE])
    did = fakes(work, monkeypatch, lambda _queued: next(outcomes))
    work.send(INTERACTIVE, work.put_job())
    work.serve()
    assert [outcome for _, outcome in did] == ["BROKE", "DONE"]


def test_a_run_that_cannot_be_drawn_is_told_in_its_status_and_blocks_nobody(work: Work) -> None:
    work.bucket.put("inputs/start.png", picture())
    begun = Job(**SMALL, seed=-1, init_img="inputs/start.png")
    # Its edges were left to the image, and stand in its job since it has begun.
    goes_on = run_name({**begun.model_dump(by_alias=True), "Height": "", "Width": ""})
    assert goes_on != begun.name
    work.bucket.put(RunKeys(goes_on).job, write_job(begun, drawn_seed=7))
    work.bucket.put(RunKeys(goes_on).status, b'{"phase": "generating"}')
    compvis: dict[str, Any] = {
        "engine": "compvis",
        "model": "stable-diffusion-v1-5",
        "sampler": "plms",
        "H": 256,
        "W": 256,
    }
    said = {
        "a-horse-0000000001": "There is no runs/a-horse-0000000001/job.json",
        work.put_job("a-horse-0000000002"): "holds the job of the run",
        work.put_text("a-horse-0000000003", "{}"): "no job of schema 1",
        work.put_text("a-horse-0000000004", '{"schema": 1, "H": "tall"}'): "Height is 'tall'",
        work.put_job(**compvis): "the original scripts' environment is not on this machine",
    }
    for run_id in (*said, "a-horse-0000000002", goes_on):  # one is asked for again
        work.send(INTERACTIVE, run_id)
    work.serve()
    for run_id, why in said.items():
        status = json.loads(work.bucket.get(RunKeys(run_id).status) or b"")
        assert (status["phase"], status["run_id"]) == ("failed", run_id)
        assert why in status["error"]["message"]
    assert json.loads(work.bucket.get(RunKeys(goes_on).status) or b"")["phase"] == "done"
    assert json.loads(work.bucket.get(RunKeys(goes_on).job) or b"")["drawn_seed"] == 7, "its images have two seeds"
    assert (work.left(INTERACTIVE), work.dead(INTERACTIVE)) == (NOTHING, [])


def test_a_message_that_points_at_no_run_is_set_aside(work: Work) -> None:
    work.send_body(BATCH, '{"schema": 1, "run_id": "../../etc"}')
    work.serve()
    ((body, reason),) = work.dead(BATCH)
    assert "../../etc" in body
    assert reason == "The message points at '../../etc', which is no name of a run."
    assert work.left(BATCH) == NOTHING


def test_a_queue_that_does_not_answer_ends_no_machine_early_and_none_late(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "AGAIN_SECONDS", 0.01)

    def and_that_is_all(_queued: Queued) -> Outcome:
        work.stop.set()
        return Outcome.DONE

    did = fakes(work, monkeypatch, and_that_is_all)
    work.send(INTERACTIVE, work.put_job())
    refused: list[str] = []
    receive = Queues.receive

    def away(self: Queues, kind: str, *, wait_seconds: int) -> Message | None:
        if len(refused) < 6:
            refused.append(kind)
            raise EndpointConnectionError(endpoint_url="https://sqs") if len(refused) > 2 else OSError("too many files")
        return receive(self, kind, wait_seconds=wait_seconds)

    monkeypatch.setattr(Queues, "receive", away)
    work.serve(idle_seconds=60)
    assert len(did) == 1
    work.stop.clear()

    def gone(self: Queues, kind: str, *, wait_seconds: int) -> Message | None:
        raise EndpointConnectionError(endpoint_url="https://sqs")

    monkeypatch.setattr(Queues, "receive", gone)
    monkeypatch.setattr(receiver, "LAST_LOOKS", Patience(attempts=3, first_pause=0.01))
    began = time.monotonic()
    work.serve(idle_seconds=0.3)
    assert 0.3 <= time.monotonic() - began < 60


def test_the_idle_time_begins_anew_after_each_run(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def wait_until_idle(done_waiting: threading.Event, _uses: Any, *, idle_seconds: float) -> None:
        waits.append(idle_seconds)
        if len(waits) < 3:
            assert done_waiting.wait(30), "the message that is there was not taken"

    monkeypatch.setattr(inbox, "wait_until_idle", wait_until_idle)
    did = fakes(work, monkeypatch, lambda queued: Outcome.DONE)
    for prompt in ("first", "second"):
        work.send(INTERACTIVE, work.put_job(prompt=prompt))
    work.serve(idle_seconds=1)
    assert (len(did), waits) == (2, [1, 1, 1])


def test_what_uses_the_machine_and_cannot_be_told_keeps_no_machine_up(work: Work) -> None:
    def broken() -> str | None:
        raise RuntimeError("no such process")

    deadline = threading.Timer(60, work.stop.set)
    deadline.start()
    work.serve(idle_seconds=1, uses=[broken])
    deadline.cancel()
    assert not work.stop.is_set(), "it waited for the deadline"


def test_a_gpu_that_is_lost_to_this_process_ends_the_process(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes(work, monkeypatch, lambda queued: Outcome.BROKE)
    loaded = Loaded(stays=True)
    monkeypatch.setattr(loaded, "still_works", lambda: False)
    work.send(INTERACTIVE, work.put_job())
    with pytest.raises(DeviceLostError):
        work.serve(loaded=loaded, idle_seconds=60)
    assert work.left(INTERACTIVE) == (0, 1)  # it rests, and then comes again


def fakes(work: Work, monkeypatch: pytest.MonkeyPatch, ends: Callable[[Queued], Outcome]) -> Did:
    """Runs are not drawn, but end as `ends` says. What was done comes back."""
    did: Did = []

    def do_run(_settings: Any, parameters: Mapping[str, str], *_: Any, queued: Queued, **__: Any) -> Outcome:
        outcome = ends(queued)
        did.append((queued.run_id, outcome.name))
        return outcome

    monkeypatch.setattr(whole_run, "do_run", do_run)
    return did


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "PNG")
    return file.getvalue()


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return True


def versions(bucket: Bucket, key: str) -> int:
    found = boto3.client("s3").list_object_versions(Bucket=bucket.name, Prefix=key)
    return len(found.get("Versions", []))
