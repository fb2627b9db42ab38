import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.boot.conftest import BUNDLE
from tests.unit.boot.given_machine import given_machine
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.worker_unit import WorkerUnit
from userdata.contract.layout import Folders


def service_of(name: str) -> configparser.SectionProxy:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(BUNDLE / name)
    return unit["Service"]


def test_the_unit_runs_the_worker_unprivileged_and_never_restarts_it() -> None:
    service = service_of("sd-worker.service")
    assert service["DynamicUser"] == "yes"
    assert service["StateDirectory"] == "sd-worker"
    assert "Restart" not in service
    assert service["ExecStart"].startswith("/bin/bash /opt/sd-on-ec2/current/userdata/")


def test_the_cache_is_written_with_the_worker_s_rights_and_the_end_decided_by_root() -> None:
    """Two units whose users have one name have one user. Nobody with credentials has the user who draws."""
    service, drawing = service_of("sd-cache.service"), service_of("sd-drawing@.service")
    assert service["User"] == service["StateDirectory"] == Folders("/").cache_kept.parent.name == "sd-worker"
    assert drawing["User"] == drawing["StateDirectory"] == Folders("/").compiled.parent.name != service["User"]
    assert service["BindReadOnlyPaths"] == f"-/var/lib/private/{drawing['User']}"
    assert service["DynamicUser"] == "yes"
    assert service["ExecStopPost"].startswith("+/usr/bin/env python3 ")
    if shutil.which("systemd-analyze"):
        words = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(BUNDLE / "sd-cache.service")]
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)


def test_the_worker_starts_in_its_interpreter_with_its_state_for_a_home(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/bash\necho "$HOME $PWD $*"; env | grep -e me: -e ^CUDA | LC_ALL=C sort\n')
    python.chmod(0o755)
    environment = {
        "SD_PYTHON": str(python),
        "STATE_DIRECTORY": "/var/lib/sd-worker",
        "PATH": os.environ["PATH"],
        "AWS_SESSION": "me:",
        "PIP_INDEX": "https://me:secret@mirror/",
        "SD_WEIGHTS_URL": "https://me:secret@mirror/",
        "https_proxy": "http://me:secret@proxy/",
        "CUDA_VISIBLE_DEVICES": "0",
    }

    def said(*module: str) -> str:
        words = ["bash", str(BUNDLE / "worker.sh"), *module]
        return subprocess.run(words, env=environment, cwd="/", capture_output=True, text=True, check=True).stdout

    first, *all_of_them = said().splitlines()
    assert first == f"/var/lib/sd-worker {BUNDLE.parent} -u -m userdata.worker"
    assert [one.partition("=")[0] for one in all_of_them if "me:" in one] == [
        *("AWS_SESSION", "PIP_INDEX", "SD_WEIGHTS_URL", "https_proxy")
    ]
    # Nothing that may be a credential goes to the process that draws.
    first, *kept = said("userdata.worker.draw").splitlines()
    assert first == f"/var/lib/sd-worker {BUNDLE.parent} -u -m userdata.worker.draw"
    assert "CUDA_VISIBLE_DEVICES=0" in kept
    assert [one for one in kept if "me:" in one] == []


def test_a_setting_that_no_unit_can_have_is_told(tmp_path: Path) -> None:
    machine = given_machine(tmp_path, {"PIP_INDEX_URL": "a\0b"}, {"ResultsBucket": "results", "Region": "us-east-1"})
    unit = WorkerUnit(machine.folders)
    with pytest.raises(StepError, match="PIP_INDEX_URL has a line break.*Correct machine.env"):
        unit.start_ahead(machine, Path("/opt/python"), boot_started_at="2026-01-01T00:00:00.000Z")
    assert not machine.folders.worker_environment.exists()
