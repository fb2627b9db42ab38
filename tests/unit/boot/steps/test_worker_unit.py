import configparser
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.boot.conftest import BUNDLE
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.worker_unit import environment_file

one_line = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"))


@given(one_line)
def test_any_value_on_one_line_is_read_back_as_a_shell_reads_it(value: str) -> None:
    # systemd reads double quotes in such a file as a POSIX shell does, but for expansion, which the escapes prevent.
    text = environment_file({"SD_NAME": value})
    assert text.endswith("\n") and "\n" not in text[:-1]
    read = subprocess.run(["bash", "-c", text + 'printf %s "$SD_NAME"'], capture_output=True, check=True)
    assert read.stdout.decode() == value


def test_plain_values_stay_plain() -> None:
    text = environment_file({"SD_PYTHON": "/opt/sd-on-ec2/conda/envs/ldm/bin/python", "URL": "http://127.0.0.1:5000"})
    assert text == "SD_PYTHON=/opt/sd-on-ec2/conda/envs/ldm/bin/python\nURL=http://127.0.0.1:5000\n"


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
def test_a_value_that_systemd_cannot_read_is_refused(value: str) -> None:
    with pytest.raises(StepError, match="NAME has a line break"):
        environment_file({"NAME": value})


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
