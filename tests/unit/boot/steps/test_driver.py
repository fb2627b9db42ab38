import itertools
from pathlib import Path

import pytest

from tests.unit.boot.given_machine import given_machine
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.driver import wait_for_driver


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return path


def says(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


def wait(settings: dict[str, str] | None = None) -> list[float]:
    naps: list[float] = []
    ticks = itertools.count(0, 60)
    machine = given_machine(Path("/"), settings)
    wait_for_driver(machine, seconds=240, clock=lambda: float(next(ticks)), sleep=naps.append)
    return naps


def test_a_gpu_that_answers_is_enough(nvidia_smi: Path) -> None:
    says(nvidia_smi, 'echo "GPU 0: NVIDIA A10G (UUID: GPU-1)"')
    assert wait() == []


def test_a_driver_that_is_still_loading_is_waited_for(nvidia_smi: Path, tmp_path: Path) -> None:
    says(
        nvidia_smi,
        f'echo >>"{tmp_path}/asked"; [[ $(wc -l <"{tmp_path}/asked") -ge 3 ]] || '
        '{ echo "NVIDIA-SMI has failed because it could not communicate with the driver" >&2; exit 9; }\n'
        'echo "GPU 0: NVIDIA A10G (UUID: GPU-1)"',
    )
    assert len(wait()) == 2


@pytest.mark.parametrize("script", ['echo "No devices were found"; exit 6', 'echo "No devices were found"'])
def test_a_machine_without_a_gpu_is_told_with_its_type(nvidia_smi: Path, script: str) -> None:
    says(nvidia_smi, script)
    with pytest.raises(StepError, match=r"no GPU on g5\.xlarge within 240 s.*No devices were found.*InstanceType"):
        wait()


def test_an_image_without_a_driver_is_told_at_once(nvidia_smi: Path) -> None:
    with pytest.raises(StepError, match=r"no NVIDIA driver.*Deep Learning AMI"):
        wait()


def test_an_image_that_means_to_have_no_gpu_is_not_asked(nvidia_smi: Path) -> None:
    assert wait({"SD_DEVICE": "cpu"}) == []
