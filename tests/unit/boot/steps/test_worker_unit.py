import configparser
import os
import subprocess
from pathlib import Path

from tests.unit.boot.conftest import BUNDLE


def test_the_unit_runs_the_worker_unprivileged_and_never_restarts_it() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(BUNDLE / "sd-worker.service")
    service = unit["Service"]
    assert service["DynamicUser"] == "yes"
    assert service["StateDirectory"] == "sd-worker"
    assert "Restart" not in service
    assert service["ExecStart"].startswith("/bin/bash /opt/sd-on-ec2/current/userdata/")
    assert service["ExecStopPost"].startswith("+/bin/bash /opt/sd-on-ec2/current/userdata/")


def test_the_worker_starts_in_its_interpreter_with_its_state_for_a_home(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/bash\necho "$HOME $PWD $*"\n')
    python.chmod(0o755)
    environment = {"SD_PYTHON": str(python), "STATE_DIRECTORY": "/var/lib/sd-worker", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["bash", str(BUNDLE / "worker.sh")], env=environment, cwd="/", capture_output=True, text=True, check=True
    )
    assert done.stdout == f"/var/lib/sd-worker {BUNDLE.parent} -u -m userdata.worker\n"
