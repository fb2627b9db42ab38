from pathlib import Path

import pytest

from userdata.boot.machine.machine_settings import read_machine_settings
from userdata.boot.machine.step_error import StepError


def test_an_image_without_settings_has_none(tmp_path: Path) -> None:
    assert read_machine_settings(tmp_path / "machine.env") == {}


def test_settings_are_read_as_systemd_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "machine.env"
    path.write_text(
        '# a comment\n; another\n\nSD_PYTHON=/opt/my env/bin/python\nSD_DEVICE="cpu"\n  A_B1 =\'x="y"\'\nEMPTY=\n'
        "PIP_INDEX_URL=https://user:p=w@mirror/simple?a=$HOME\n".replace("A_B1 =", "A_B1=")
    )
    assert read_machine_settings(path) == {
        "SD_PYTHON": "/opt/my env/bin/python",
        "SD_DEVICE": "cpu",
        "A_B1": 'x="y"',
        "EMPTY": "",
        "PIP_INDEX_URL": "https://user:p=w@mirror/simple?a=$HOME",
    }


@pytest.mark.parametrize("line", ["SD_PYTHON", "export A=1", "1A=2", "=x"])
def test_a_line_that_is_no_setting_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "machine.env"
    path.write_text(f"SD_DEVICE=cpu\n{line}\n")
    with pytest.raises(StepError, match="machine.env, line 2, is not NAME=value"):
        read_machine_settings(path)


@pytest.mark.parametrize("device", ["cuda", "CPU", "cuda:0"])
def test_a_device_that_the_worker_would_end_for_is_refused_by_the_boot(tmp_path: Path, device: str) -> None:
    path = tmp_path / "machine.env"
    path.write_text(f"SD_DEVICE={device}\n")
    with pytest.raises(StepError, match=f"SD_DEVICE is '{device}', but must be cpu or left out"):
        read_machine_settings(path)
