"""What the machine is, and how busy its GPU is."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from userdata.record.versions import library_versions

EDGE = 8192
SAMPLE_MILLISECONDS = 100


def describe(device: torch.device) -> dict[str, str]:
    """The machine and the versions that a figure belongs to."""
    described = {
        "processors": f"{os.cpu_count()} x {platform.machine()}",
        **library_versions(),
        "load average": f"{os.getloadavg()[0]:.1f}",
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        described["GPU"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        described["CUDA"] = f"{torch.version.cuda}, cuDNN {cudnn}"
    return described


def matrix_rate(device: torch.device) -> float:
    """Operations per second of the device's own matrix product in half precision, the median of five times ten."""
    half = torch.float16 if device.type == "cuda" else torch.float32
    edge = EDGE if device.type == "cuda" else EDGE // 16
    matrix = torch.randn(edge, edge, device=device, dtype=half)
    return 2 * edge**3 / _seconds(lambda: torch.mm(matrix, matrix))


def float8_rate(device: torch.device) -> float | None:
    """As `matrix_rate`, in float8 with a scale for each row; None where PyTorch cannot multiply so on `device`."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (9, 0):
        return None
    matrix = torch.randn(EDGE, EDGE, device=device).to(torch.float8_e4m3fn)
    scale = torch.ones(EDGE, 1, device=device)
    seconds = _seconds(
        lambda: torch._scaled_mm(matrix, matrix.t(), scale, scale.t(), out_dtype=torch.bfloat16, use_fast_accum=True)
    )
    return 2 * EDGE**3 / seconds


def copy_rate(device: torch.device) -> float:
    """Bytes per second, read and written, of a large copy within the memory of `device`."""
    source = torch.empty(2**32 if device.type == "cuda" else 2**24, dtype=torch.uint8, device=device).random_()
    target = torch.empty_like(source)
    return 2 * source.numel() / _seconds(lambda: target.copy_(source))


def _seconds(do: Callable[[], object]) -> float:
    """Of one call, the median of five times ten after as many for warming up."""
    seconds = []
    for _ in range(6):
        began = time.monotonic()
        for _ in range(10):
            do()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append((time.monotonic() - began) / 10)
    return statistics.median(seconds[1:])


class Utilisation:
    """The share of time in which a kernel ran, as nvidia-smi tells it, several times a second while it is open."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, float]] = []

    def share(self, began: float, ended: float) -> float | None:
        """The mean from `began` to `ended`, on `time.monotonic`'s clock: 0 to 1, or None where nothing was told."""
        within = [value for when, value in self._samples if began <= when <= ended]
        return statistics.fmean(within) / 100 if within else None

    @contextmanager
    def sampled(self, device: torch.device) -> Iterator[None]:
        """Samples the GPU `device`; nothing on another device."""
        if device.type != "cuda":
            yield
            return
        with subprocess.Popen(
            [
                "nvidia-smi",
                f"--id=GPU-{torch.cuda.get_device_properties(device).uuid}",
                "--query-gpu=utilization.gpu",
                "--format=csv,noheader,nounits",
                f"--loop-ms={SAMPLE_MILLISECONDS}",
            ],
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            reader = threading.Thread(target=self._read, args=(child,), daemon=True)
            reader.start()
            try:
                yield
            finally:
                child.terminate()
                reader.join()

    def _read(self, child: subprocess.Popen[str]) -> None:
        for line in child.stdout or ():
            if line.strip().isdigit():
                self._samples.append((time.monotonic(), float(line)))
