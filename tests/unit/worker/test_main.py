"""What the worker makes of the end of its deployed run."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from userdata.worker import __main__ as worker
from userdata.worker.between.drawing_process import DrawingProcess
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.loaded.loaded import Loaded
from userdata.worker.process.settings import Settings
from userdata.worker.run.run import Outcome


def nothing(*_: Any, **__: Any) -> None: ...


@pytest.fixture
def ends(
    bucket: Bucket, settings: Settings, parameters: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """The exit code of a worker whose deployed run ends as given, and which stays up as given."""
    monkeypatch.setattr(DrawingProcess, "start", lambda *_, **__: Loaded(stays=True))
    monkeypatch.setattr(worker, "SpotNotice", lambda _stop, tell: type("Notice", (), {"watch": nothing}))
    monkeypatch.setattr(worker, "wait_for_settings", lambda *_: settings)
    monkeypatch.setattr(worker, "read_parameters", lambda _: parameters(Queues="sd-a-stack"))
    monkeypatch.setattr("userdata.worker.__main__.signal.signal", nothing)

    def end(outcome: Outcome, stay_up: Callable[..., None]) -> int:
        monkeypatch.setattr(worker, "do_run", lambda *_, **__: outcome)
        monkeypatch.setattr(worker, "_stay_up", stay_up)
        return worker.main()

    return end


def test_a_worker_that_has_lost_its_gpu_takes_no_run_of_the_queues(
    ends: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stayed: list[bool] = []
    for works in (False, True):
        monkeypatch.setattr(Loaded, "still_works", lambda _, works=works: works)
        assert ends(Outcome.BROKE, lambda *_, works=works, **__: stayed.append(works)) == 1
    assert stayed == [True]


def test_what_fails_while_the_worker_stays_up_is_told_and_ends_it(
    ends: Callable[..., int], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with caplog.at_level(logging.ERROR):
        assert ends(Outcome.DONE, fail) == 1
    assert "The worker failed while it stayed up" in caplog.messages


def test_a_machine_of_a_fleet_does_the_queues_runs_alone(
    ends: Callable[..., int], parameters: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stayed: list[str] = []
    for fleet in ({}, {"Fleet": "0"}):
        monkeypatch.setattr(worker, "read_parameters", lambda _, fleet=fleet: parameters(Queues="sd-a-stack", **fleet))
        assert ends(Outcome.FAILED, lambda *_, **__: stayed.append("up")) == (0 if fleet else 1)
    assert stayed == ["up", "up"]


def test_a_signal_stops_the_worker_also_in_the_moment_in_which_it_begins_to_wait(
    ends: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: dict[int, Any] = {}
    monkeypatch.setattr("userdata.worker.__main__.signal.signal", handlers.__setitem__)

    def stay_up(_settings: Any, _parameters: Any, stop: threading.Event, *_: Any, **__: Any) -> None:
        def interrupted() -> None:
            with stop._cond:  # type: ignore[attr-defined]  # as `stop.wait` does
                handlers[signal.SIGTERM](signal.SIGTERM, None)

        waits = threading.Thread(target=interrupted, daemon=True)
        waits.start()
        waits.join(10)
        assert not waits.is_alive()
        stop.wait(10)

    assert ends(Outcome.DONE, stay_up) == 128 + signal.SIGTERM
