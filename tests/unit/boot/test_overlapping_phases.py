import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from tests.unit.boot.conftest import PARAMETERS, Machine
from tests.unit.boot.loopback import reply, serving
from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.cache import Cache
from userdata.boot.machine.side_by_side import begin
from userdata.boot.machine.step_error import StepError
from userdata.boot.telling.boot_log import BootLog, start_log
from userdata.boot.telling.facts import Facts
from userdata.boot.telling.phases import Phases
from userdata.boot.telling.run_status import RunStatus
from userdata.contract.layout import Folders


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def build_for_ever(machine: Machine) -> Path:
    """The environment's first command never ends; the file that comes to be holds its process id."""
    pid = machine.folder / "git.pid"
    machine.parameters |= {"Engine": "compvis", "Model": "stable-diffusion-v1-5"}
    machine.command("git", f'echo $$ >"{pid}.new"; mv "{pid}.new" "{pid}"; sleep 600')
    return pid


def test_weights_that_cannot_be_had_end_the_boot_while_the_environment_is_built(machine: Machine) -> None:
    pid = build_for_ever(machine)

    def missing_once_it_is_built(handler: object) -> None:
        wait_for(pid.exists)
        reply(handler, 404)  # type: ignore[arg-type]

    with serving(missing_once_it_is_built) as server:
        machine.settings(SD_PYTHON=sys.executable, SD_DEVICE="cpu", SD_WEIGHTS_URL=server.url)
        done = machine.boot()
    assert done.returncode == 70, done.stdout
    error = machine.document("/status.json")["error"]
    assert error["step"] == "weights"
    assert "answered 404" in error["message"]
    assert machine.calls[-1] == "shutdown -P now"
    wait_for(lambda: not is_running(int(pid.read_text())))
    (record,) = [
        json.loads(text)
        for key, text in machine.objects().items()
        if key.startswith("boots/") and key.endswith(".json")
    ]
    assert json.loads(machine.folders.boot_timeline.read_text()) == record
    assert [phase["phase"] for phase in record["phases"]] == ["boot", "driver"]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_boot_and_the_programs_that_it_runs(machine: Machine, sent: signal.Signals) -> None:
    pid = build_for_ever(machine)
    with serving(lambda handler: wait_for(lambda: False)) as server:
        machine.settings(SD_PYTHON=sys.executable, SD_DEVICE="cpu", SD_WEIGHTS_URL=server.url)
        machine.write_parameters()
        boot = subprocess.Popen(
            [sys.executable, "-m", "userdata.boot"],
            cwd=machine.folders.bundle,
            env={**os.environ, **machine.environment},
            stdout=subprocess.DEVNULL,
        )
        wait_for(pid.exists)
        boot.send_signal(sent)
        assert boot.wait(30) == 128 + sent
        wait_for(lambda: not is_running(int(pid.read_text())))


@pytest.fixture
def log() -> Iterator[BootLog]:
    root = logging.getLogger()
    before = list(root.handlers), root.level
    yield start_log()
    root.handlers, root.level = before


class Overlap:
    """Two phases under way, each until it is told to end."""

    def __init__(self, folder: Path, log: BootLog) -> None:
        self.phases = Phases(Folders(str(folder)), log, Facts(folder / "machine.env", first=(), later=()))
        self.phases.run = self.run = RunStatus.of(PARAMETERS, instance_id="i-1", earlier=None)
        self.timeline = Folders(str(folder)).boot_timeline
        self.timeline.parent.mkdir(parents=True)
        self.ends: dict[str, Future[None]] = {"environment": Future(), "weights": Future()}
        self.begun = dict.fromkeys(self.ends, False)
        self.threads = [begin(lambda name=name: self._go_through(name)) for name in self.ends]  # type: ignore[misc]
        wait_for(lambda: all(self.begun.values()))

    def _go_through(self, name: str) -> None:
        with self.phases.phase(name):
            logging.getLogger("userdata").info("at work")
            self.begun[name] = True
            self.ends[name].result()

    def end(self, name: str) -> None:
        self.ends[name].set_result(None)
        self.threads[list(self.ends).index(name)].result()

    def written(self) -> dict[str, Any]:
        return dict(json.loads(self.timeline.read_text()))


def test_each_phase_has_its_own_time_and_its_own_lines(tmp_path: Path, log: BootLog) -> None:
    overlap = Overlap(tmp_path, log)
    overlap.end("weights")
    overlap.end("environment")
    phases = overlap.written()["phases"]
    assert sorted(phases, key=lambda phase: str(phase["started_at"])) == phases
    assert {phase["phase"] for phase in phases} == {"environment", "weights"}
    for name in overlap.ends:
        assert f"INFO {name}: at work" in log.text()
        assert f"INFO {name} done in" in log.text()


def test_the_status_names_the_earliest_phase_under_way(tmp_path: Path, log: BootLog) -> None:
    overlap = Overlap(tmp_path, log)
    assert overlap.run.status.phase == "environment"
    overlap.end("environment")
    assert overlap.run.status.phase == "weights"


def test_the_phase_that_failed_first_is_told_and_nothing_is_written_over_it(tmp_path: Path, log: BootLog) -> None:
    overlap = Overlap(tmp_path, log)
    overlap.ends["weights"].set_exception(StepError("there are none"))
    with pytest.raises(StepError) as raised:
        overlap.threads[1].result()
    overlap.phases.fail(raised.value)
    told = overlap.written()
    assert told["error"] == {"step": "weights", "message": "there are none", "log_tail": told["error"]["log_tail"]}
    overlap.ends["environment"].set_result(None)
    overlap.threads[0].result()
    assert overlap.written() == told


def test_what_a_thread_took_from_the_cache_is_no_other_phases(tmp_path: Path) -> None:
    cache = Cache(Bucket("results"), tmp_path / "notes")
    cache._take("cache/key", tmp_path, lambda: True)
    assert not begin(cache.has_served).result()
    assert cache.has_served()
