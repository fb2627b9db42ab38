from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from userdata.worker.run.gpu_samples import COLUMNS, GpuSamples

BUSY = """\
#!/bin/sh
echo $$ > "$PIDS"
echo "$@" > "$PIDS.arguments"
echo "10, 5, 1000, 60.50"
echo "90, 40, 15620, [N/A]"
echo "garbage"
echo "99, 45, 15620, 290.10"
exec sleep 60
"""
FAILING = """\
#!/bin/sh
echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
exit 9
"""
Install = Callable[[str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a program called nvidia-smi on PATH; returns the file to which it writes its process id."""

    def write(script: str) -> Path:
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir()
        program.write_text(script)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        monkeypatch.setenv("PIDS", str(tmp_path / "pid"))
        return tmp_path / "pid"

    return write


def test_samples_are_written_and_summed_up_as_the_article_does(tmp_path: Path, install: Install) -> None:
    pid = install(BUSY)
    samples = GpuSamples(tmp_path / "runs/x/gpu.csv")
    samples.start()
    _wait_until(lambda: samples.file.exists() and len(samples.file.read_text().splitlines()) == 4)
    samples.stop()
    rows = list(csv.DictReader(samples.file.read_text().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert [row["gpu_percent"] for row in rows] == ["10", "90", "99"]
    assert rows[1]["power_w"] == ""
    assert rows[0]["timestamp"].endswith("Z")
    summary = samples.summary()
    assert summary is not None
    assert summary.gpu is not None
    assert (summary.gpu.samples, summary.gpu.duration) == (3, 3.0)
    assert (summary.gpu.min, summary.gpu.max, summary.gpu.avg) == (10, 99, 66.33)
    assert summary.memory is not None
    assert (summary.memory.min, summary.memory.max, summary.memory.avg) == (5, 45, 30)
    assert summary.power_w is not None
    assert summary.power_w.samples == 2
    assert (
        "--query-gpu=utilization.gpu,utilization.memory,memory.used,power.draw" in Path(f"{pid}.arguments").read_text()
    )


def test_child_ends_with_the_sampling(tmp_path: Path, install: Install) -> None:
    pid = install(BUSY)
    samples = GpuSamples(tmp_path / "gpu.csv")
    samples.start()
    _wait_until(samples.file.exists)
    samples.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    samples.stop()


def test_second_attempt_adds_to_the_samples(tmp_path: Path, install: Install) -> None:
    install(BUSY)
    for lines in (4, 7):
        samples = GpuSamples(tmp_path / "gpu.csv")
        samples.start()
        _wait_until(
            lambda lines=lines: (  # type: ignore[misc]
                (tmp_path / "gpu.csv").exists() and len((tmp_path / "gpu.csv").read_text().splitlines()) == lines
            )
        )
        samples.stop()
    summary = samples.summary()
    assert summary is not None
    assert summary.gpu is not None
    assert summary.gpu.samples == 6


def test_no_file_where_nvidia_smi_fails(tmp_path: Path, install: Install) -> None:
    install(FAILING)
    samples = GpuSamples(tmp_path / "gpu.csv")
    samples.start()
    samples.stop()
    assert not samples.file.exists()
    assert samples.summary() is None


def test_no_file_where_there_is_no_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    samples = GpuSamples(tmp_path / "gpu.csv")
    samples.start()
    samples.stop()
    assert samples.summary() is None


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
