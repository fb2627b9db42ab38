"""What is told in the bucket of a worker that could not tell it, by a process with the worker's user."""

import json
import re
import subprocess
import sys

import pytest

from tests.unit.boot.conftest import BUNDLE, Machine
from userdata.boot import tell_failure as module
from userdata.boot.tell_failure import tell_failure
from userdata.boot.telling.ending import GOING_DOWN_SECONDS
from userdata.contract.layout import RunKeys
from userdata.contract.status import Status
from userdata.contract.tries import Tries, read_tries
from userdata.contract.work import UnitOfBatch, write_message


def test_a_bucket_that_does_not_answer_is_given_up_before_systemd_loses_patience(machine: Machine) -> None:
    (allowed,) = re.findall(r"(?m)^TimeoutStopSec=(\d+)$", (BUNDLE / "sd-worker.service").read_text("utf-8"))
    assert int(allowed) > module.TELLING_SECONDS > GOING_DOWN_SECONDS
    machine.write_parameters()
    machine.command("aws", "exec sleep 60")
    failed = {"SERVICE_RESULT": "exit-code", "EXIT_CODE": "exited", "EXIT_STATUS": "1", **machine.worker_environment()}
    code = "import userdata.boot.tell_failure as module; module.TELLING_SECONDS = 1; raise SystemExit(module.main())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=BUNDLE.parent,
        env={**machine.environment, **failed},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (1, ["the failure could not be told within 1 s"])


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
    tell_failure(machine.folders, {**variables, **machine.worker_environment()})
    assert list(objects) == [keys.status, keys.tries]
    tries = read_tries(objects[keys.tries])
    assert tries
    assert (tries.failures, tries.body) == (1, write_message(keys.run_id)), "a killed worker has failed"
    status = json.loads(objects[keys.status])
    assert (status["phase"], status["images_done"], status["images_total"]) == ("failed", 1, 3)
    assert "ran out of memory" in status["error"]["message"]
    assert not note.exists()

    unit = UnitOfBatch("many-0123456789", 0, unit=3, at=10, bytes=20)
    for going_down in (True, False):
        before = dict(objects)
        note.write_text(Tries(unit.to_body(), failures=1).to_json())
        machine.command("systemctl", f"echo {'stopping' if going_down else 'running'}; exit {int(going_down)}")
        tell_failure(machine.folders, {**variables, **machine.worker_environment()})
        told = {key: read_tries(text) for key, text in objects.items() if before.get(key) != text}
        if going_down:
            assert not told, "a machine that is taken away counts as no failure"
    tries = told[RunKeys(unit.run_id).unit_tries(0, 3)]
    assert tries
    assert (len(told), tries.failures) == (1, 2), "a batch has no status"
    assert "ran out of memory" in tries.why
