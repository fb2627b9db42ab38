import itertools
from pathlib import Path

import pytest

from tests.unit.boot.given_machine import given_machine
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.driver import Driver

GPU = 'echo "GPU 0: NVIDIA A10G (UUID: GPU-1)"'


class Commands:
    """The commands of an image with a GPU that is ready; what is asked is written down."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked = folder / "asked"
        self.says("nvidia-smi", GPU)
        self.says("nvidia-modprobe", "exit 0")
        self.says("python3", "echo 0")

    def says(self, name: str, *scripts: str) -> None:
        """The command does what the first script says, then what the next says, and what the last says ever after."""
        times = f'$(grep -c "^{name} " "{self._asked}")'
        cases = "".join(f"  {number}) {script};;\n" for number, script in enumerate(scripts[:-1], 1))
        path = self._folder / name
        path.write_text(
            f'#!/bin/bash\necho "{name} $1 " >>"{self._asked}"\ncase {times} in\n{cases}  *) {scripts[-1]};;\nesac\n'
        )
        path.chmod(0o755)

    @property
    def asked(self) -> list[str]:
        return [line.split()[0] for line in self._asked.read_text().splitlines()]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Commands(tmp_path)


def driver(settings: dict[str, str] | None = None) -> Driver:
    return Driver(given_machine(Path("/"), settings))


def wait(driver: Driver) -> list[float]:
    naps: list[float] = []
    ticks = itertools.count(0, 60)
    driver.wait(seconds=240, clock=lambda: float(next(ticks)), sleep=naps.append)
    return naps


def test_nvml_answers_before_the_device_files_are_made_and_cuda_is_asked(commands: Commands) -> None:
    asked = driver()
    assert asked.is_ready()
    assert wait(asked) == []
    assert commands.asked == ["nvidia-smi", "nvidia-modprobe", "python3"]


def test_a_driver_that_is_still_loading_is_waited_for_and_cuda_is_not_asked(commands: Commands) -> None:
    loading = '{ echo "NVIDIA-SMI has failed because it could not communicate with the driver" >&2; exit 9; }'
    commands.says("nvidia-smi", loading, loading, loading, GPU)
    waiting = driver()
    assert not waiting.is_ready()
    assert commands.asked == ["nvidia-smi"]
    assert len(wait(waiting)) == 2
    assert commands.asked == ["nvidia-smi"] * 4 + ["nvidia-modprobe", "python3"]


def test_a_fabric_that_is_still_coming_up_is_waited_for(commands: Commands) -> None:
    commands.says("python3", "echo 802", "echo 802", "echo 0")
    waiting = driver()
    assert not waiting.is_ready()
    assert len(wait(waiting)) == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("echo 802", "CUDA answers 802: the fabric .*systemctl status nvidia-fabricmanager"),
        ("echo 999", "CUDA answers 999: .*nvidia-smi"),
        ("echo 'OSError: libcuda.so.1' >&2; exit 1", "OSError: libcuda.so.1"),
    ],
)
def test_a_cuda_that_does_not_come_is_told(commands: Commands, answer: str, told: str) -> None:
    commands.says("python3", answer)
    with pytest.raises(StepError, match=rf"not ready on g5\.xlarge within 240 s.*{told}"):
        wait(driver())


def test_an_image_that_makes_the_device_files_itself_needs_no_command_for_that(commands: Commands) -> None:
    commands.says("nvidia-modprobe", "exit 127")
    assert wait(driver()) == []


@pytest.mark.parametrize("script", ['echo "No devices were found"; exit 6', 'echo "No devices were found"'])
def test_a_machine_without_a_gpu_is_told_with_its_type(commands: Commands, script: str) -> None:
    commands.says("nvidia-smi", script)
    with pytest.raises(StepError, match=r"no GPU.*No devices were found.*InstanceType") as told:
        wait(driver())
    assert "on g5.xlarge within 240 s" in str(told.value)


def test_an_image_without_a_driver_is_told_at_once(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").unlink()
    with pytest.raises(StepError, match=r"no NVIDIA driver.*Deep Learning AMI"):
        wait(driver())


def test_an_image_that_means_to_have_no_gpu_is_not_asked(commands: Commands, tmp_path: Path) -> None:
    assert driver({"SD_DEVICE": "cpu"}).is_ready()
    assert wait(driver({"SD_DEVICE": "cpu"})) == []
    assert not (tmp_path / "asked").exists()
