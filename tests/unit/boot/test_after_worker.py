import re
import threading

import pytest

from tests.unit.boot.conftest import BUNDLE, Machine
from userdata.boot import after_worker as module
from userdata.boot.after_worker import Ending, after_worker, ending_of


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


def test_telling_ends_before_systemd_would_end_it() -> None:
    (allowed,) = re.findall(r"(?m)^TimeoutStopSec=(\d+)$", (BUNDLE / "sd-worker.service").read_text("utf-8"))
    assert int(allowed) > module.TELLING_SECONDS + module.GOING_DOWN_SECONDS
