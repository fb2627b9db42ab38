"""Samples the GPU's utilisation once a second with nvidia-smi while a run goes on, and sums it up at the end."""

from __future__ import annotations

import contextlib
import csv
import logging
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from userdata.contract.status import utc_now

INTERVAL_SECONDS = 1
COLUMNS = ("timestamp", "gpu_percent", "memory_percent", "memory_used_mib", "power_w")
QUERY = "utilization.gpu,utilization.memory,memory.used,power.draw"
# `--id=0`: the worker draws on the first GPU only.
COMMAND = (
    "nvidia-smi",
    "--id=0",
    f"--query-gpu={QUERY}",
    "--format=csv,noheader,nounits",
    f"--loop={INTERVAL_SECONDS}",
)

logger = logging.getLogger(__name__)


class Spread(BaseModel):
    """One quantity over a run. `duration` in seconds."""

    samples: int
    duration: float
    min: float
    max: float
    avg: float


class GpuSummary(BaseModel):
    """The GPU over a run: busy time and time of the memory controller in percent, memory in MiB, power in watts.

    A quantity that nvidia-smi does not know of this GPU is None.
    """

    gpu: Spread | None
    memory: Spread | None
    memory_used_mib: Spread | None
    power_w: Spread | None


class GpuSamples:
    """Writes samples to `file` between `start` and `stop`, behind those of earlier attempts.

    Without nvidia-smi, or when nvidia-smi yields nothing, there is no file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._child: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Begins to sample. Never raises: a run without samples is still a run."""
        try:
            # Should the worker die without `stop`, the child ends at its next line, because its output has no reader.
            self._child = subprocess.Popen(
                COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        except OSError as error:
            logger.info("No GPU samples: nvidia-smi cannot be started (%s)", error.strerror)
            return
        self._reader = threading.Thread(target=self._read, args=(self._child,), name="gpu samples", daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Ends the sampling; may be called more than once."""
        if self._child is None or self._reader is None:
            return
        # nvidia-smi has nothing to put in order, and would obey a milder signal only when its next sample is due.
        self._child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=5)
        self._reader.join(timeout=5)
        self._child = self._reader = None

    def summary(self) -> GpuSummary | None:
        """All samples of `file` summed up, or None when there is no sample."""
        if not self.file.exists():
            return None
        with self.file.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        spreads = [_spread([float(row[column]) for row in rows if row[column]]) for column in COLUMNS[1:]]
        return GpuSummary(**dict(zip(("gpu", "memory", "memory_used_mib", "power_w"), spreads, strict=True)))

    def _read(self, child: subprocess.Popen[str]) -> None:
        if child.stdout is None:
            return
        for line in child.stdout:
            values = [_number(value) for value in line.split(",")]
            if len(values) == len(COLUMNS) - 1 and any(values):
                self._append([utc_now(), *values])
        if child.wait() > 0:
            logger.warning("No more GPU samples: nvidia-smi ended with %d", child.returncode)

    def _append(self, row: Sequence[str]) -> None:
        begins = not self.file.exists()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if begins:
                writer.writerow(COLUMNS)
            writer.writerow(row)


def _number(text: str) -> str:
    """The number as written, or nothing when nvidia-smi says [N/A] and the like."""
    try:
        float(text)
    except ValueError:
        return ""
    return text.strip()


def _spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    return Spread(
        samples=len(values),
        duration=float(len(values) * INTERVAL_SECONDS),
        min=min(values),
        max=max(values),
        avg=round(sum(values) / len(values), 2),
    )
