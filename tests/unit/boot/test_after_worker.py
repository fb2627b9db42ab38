import json
import re
import threading
from functools import partial

import pytest

from tests.unit.boot.conftest import BUNDLE, Machine
from userdata.boot import after_worker as module
from userdata.boot.after_cache import after_cache
from userdata.boot.after_worker import Ending, after_worker, ending_of
from userdata.contract.environment_file import read_environment_file
from userdata.contract.layout import RunKeys
from userdata.contract.status import Status
from userdata.contract.tries import Tries, read_tries
from userdata.contract.work import UnitOfBatch, write_message
from userdata.contract.worker_environment import STAYS


@pytest.mark.parametrize(
    ("result", "code", "status", "going_down", "ending"),
    [
        ("success", "exited", "0", False, Ending.FINISHED),
        ("success", "exited", "0", True, Ending.FINISHED),
        ("success", "killed", "TERM", False, Ending.STOPPED),
        ("success", "killed", "TERM", True, Ending.STOPPED),
        ("success", "exited", "143", True, Ending.STOPPED),
        ("exit-code", "exited", "1", False, Ending.FAILED),
        ("exit-code", "exited", "1", True, Ending.FAILED),
        ("exit-code", "exited", "203", False, Ending.FAILED),
        ("exit-code", "exited", "143", True, Ending.STOPPED),
        ("signal", "killed", "KILL", False, Ending.FAILED),
        ("core-dump", "dumped", "SEGV", False, Ending.FAILED),
        ("oom-kill", "killed", "KILL", False, Ending.FAILED),
        ("timeout", "killed", "KILL", True, Ending.STOPPED),
        ("timeout", "killed", "KILL", False, Ending.FAILED),
        ("resources", "", "", False, Ending.FAILED),
    ],
)
def test_how_the_worker_ended_follows_from_what_systemd_says(
    result: str, code: str, status: str, going_down: bool, ending: Ending
) -> None:
    variables = {"SERVICE_RESULT": result, "EXIT_CODE": code, "EXIT_STATUS": status}
    assert ending_of(variables, going_down=going_down) is ending


def test_a_start_without_systemd_is_no_success() -> None:
    assert ending_of({}) is Ending.FAILED


def test_a_bucket_that_does_not_answer_does_not_keep_the_machine_running(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.write_parameters()
    machine.command("aws", "exec sleep 60")
    monkeypatch.setenv("PATH", machine.environment["PATH"])
    monkeypatch.setattr(module, "TELLING_SECONDS", 0.1, raising=False)
    variables = {"SERVICE_RESULT": "exit-code", "EXIT_CODE": "exited", "EXIT_STATUS": "1"}
    variables.update(machine.worker_environment())
    ends = threading.Thread(target=after_worker, args=(machine.folders, variables), daemon=True)
    ends.start()
    ends.join(10)
    assert machine.calls[-1:] == ["shutdown -P now"]


def test_a_worker_that_is_killed_at_a_queued_run_is_told_in_that_runs_status(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects: dict[str, str] = {}

    class Bucket:
        def __init__(self, name: str) -> None:
            assert name == machine.bucket_name

        def get(self, key: str) -> str | None:
            return objects.get(key)

        def put(self, key: str, text: str, content_type: str = "") -> None:
            objects[key] = text

    monkeypatch.setattr(module, "Bucket", Bucket)
    monkeypatch.setenv("PATH", machine.environment["PATH"])
    machine.write_parameters()
    keys = RunKeys("a-horse-0123456789")
    objects[keys.status] = Status(keys.run_id, "i-1", phase="generating", images_done=1, images_total=3).to_json()
    note = machine.folders.queued_run
    note.parent.mkdir(parents=True)
    note.write_text(Tries(write_message(keys.run_id)).to_json())
    machine.folders.worker_log.parent.mkdir(parents=True)
    machine.folders.worker_log.write_text("of many runs\n")
    variables = {"SERVICE_RESULT": "oom-kill", "EXIT_CODE": "killed", "EXIT_STATUS": "KILL"}
    after_worker(machine.folders, {**variables, **machine.worker_environment()})
    assert list(objects) == [keys.status, keys.tries]
    tries = read_tries(objects[keys.tries])
    assert tries
    assert (tries.failures, tries.body) == (1, write_message(keys.run_id)), "a killed worker has failed"
    status = json.loads(objects[keys.status])
    assert (status["phase"], status["images_done"], status["images_total"]) == ("failed", 1, 3)
    assert "ran out of memory" in status["error"]["message"]
    assert not note.exists()
    assert machine.calls[-1:] == ["shutdown -P now"]

    unit = UnitOfBatch("many-0123456789", 0, unit=3, at=10, bytes=20)
    for going_down in (True, False):
        before = dict(objects)
        note.write_text(Tries(unit.to_body(), failures=1).to_json())
        machine.command("systemctl", f"echo {'stopping' if going_down else 'running'}; exit {int(going_down)}")
        after_worker(machine.folders, {**variables, **machine.worker_environment()})
        told = {key: read_tries(text) for key, text in objects.items() if before.get(key) != text}
        if going_down:
            assert not told, "a machine that is taken away counts as no failure"
    tries = told[RunKeys(unit.run_id).unit_tries(0, 3)]
    assert tries
    assert (len(told), tries.failures) == (1, 2), "a batch has no status"
    assert "ran out of memory" in tries.why


def test_a_machine_that_stays_up_has_its_worker_again_for_the_queues(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", machine.environment["PATH"])
    machine.parameters |= {"AfterRun": "keep", "Queues": "sd-a-stack"}
    machine.write_parameters()
    machine.folders.worker_environment.write_text("SD_BUCKET=results\n")
    ended = {"SERVICE_RESULT": "success", "EXIT_CODE": "exited", "EXIT_STATUS": "0"}
    for ends in (partial(after_worker, machine.folders, ended), partial(after_cache, machine.folders)):
        before = len(machine.calls)
        ends()
        assert machine.calls[before:][-1:] == ["systemctl start --no-block sd-worker"]
        assert STAYS in read_environment_file(machine.folders.worker_environment)
    machine.parameters["Queues"] = ""
    machine.write_parameters()
    after_cache(machine.folders)
    assert machine.calls[-1:] == ["systemctl start --no-block sd-worker"]
    assert machine.calls.count("systemctl start --no-block sd-worker") == 2


def test_telling_ends_before_systemd_would_end_it() -> None:
    (allowed,) = re.findall(r"(?m)^TimeoutStopSec=(\d+)$", (BUNDLE / "sd-worker.service").read_text("utf-8"))
    assert int(allowed) > module.TELLING_SECONDS + module.GOING_DOWN_SECONDS
