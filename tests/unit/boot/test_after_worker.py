from functools import partial

import pytest

from tests.unit.boot.conftest import Machine
from userdata.boot.after_cache import after_cache
from userdata.boot.after_worker import after_worker
from userdata.boot.telling.ending import Ending, ending_of
from userdata.contract.environment_file import read_environment_file
from userdata.contract.tries import Tries
from userdata.contract.work import write_message
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


def test_root_powers_off_and_opens_nothing_of_the_worker_s_nor_of_the_bucket(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.write_parameters()
    machine.command("aws", f'echo aws >>"{machine.folder}/calls"; exec sleep 60')
    monkeypatch.setenv("PATH", machine.environment["PATH"])
    machine.folders.queued_run.parent.mkdir(parents=True)
    machine.folders.queued_run.write_text(Tries(write_message("a-horse-0123456789")).to_json())  # taken by who tells
    variables = {"SERVICE_RESULT": "exit-code", "EXIT_CODE": "exited", "EXIT_STATUS": "1"}
    after_worker(machine.folders, {**variables, **machine.worker_environment()})
    assert machine.calls == ["systemctl is-system-running", "shutdown -P now"]
    assert machine.folders.queued_run.exists()


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
