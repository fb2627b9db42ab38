"""Waits for the GPU's driver, so that no process asks CUDA too early: torch keeps a first answer of "none" for good."""

from __future__ import annotations

import logging
import shutil
import time
from typing import Callable

from userdata.boot.machine.commands import CommandError, answer_of
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.machine import Machine

logger = logging.getLogger(__name__)
ANSWER_SECONDS = 60
PAUSE_SECONDS = 5.0
# The worker may not make these device files, since a dynamic user gains no privileges by a setuid program.
MAKE_DEVICE_FILES = ("nvidia-modprobe", "-c", "0", "-u")
# A process of its own, whose answer nobody keeps. Prints CUDA's own code: 0 says that it is ready.
ASK_CUDA = """
import ctypes
cuda, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
print(cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)))
"""
MEANINGS = {
    "802": "the fabric between the GPUs is not up; systemctl status nvidia-fabricmanager says why",
    "803": "the driver in the kernel and the libraries of the image are of different versions",
}


class Driver:
    """The driver of the machine's GPUs, which may still be loading when user data runs.

    NVML answers first, as nvidia-smi, and CUDA after that: on types with eight GPUs NVML lists all of them while CUDA
    still waits for the fabric between them. A machine whose image says `SD_DEVICE=cpu` is ready at once.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._ready = False

    def is_ready(self) -> bool:
        """Whether a process may ask CUDA now."""
        return not self._lack()

    def wait(
        self,
        *,
        seconds: float = 240,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Returns when the driver is ready. Raises `StepError` after `seconds`, or when there is no driver at all."""
        if self._ready:
            return
        instance_type = self._machine.instance.instance_type
        if self._machine.has_gpu and shutil.which("nvidia-smi") is None:
            raise StepError(
                f"This image has no NVIDIA driver (no nvidia-smi) on {instance_type}. Use the Deep Learning AMI, or "
                "an image with the driver."
            )
        deadline = clock() + seconds
        while lack := self._lack():
            if clock() >= deadline:
                raise StepError(f"The NVIDIA driver was not ready on {instance_type} within {seconds:g} s: {lack}")
            sleep(PAUSE_SECONDS)

    def _lack(self) -> str:
        """What is not ready, for a person; empty once everything is."""
        if self._ready:
            return ""
        if not self._machine.has_gpu:
            logger.info("the image says SD_DEVICE=cpu: no driver is looked for")
        elif lack := _missing_gpu() or _silent_cuda():
            return lack
        self._ready = True
        return ""


def _missing_gpu() -> str:
    try:
        listed = answer_of(["nvidia-smi", "-L"], seconds=ANSWER_SECONDS).strip()
    except CommandError as error:
        listed = str(error)
    if listed.startswith("GPU "):
        logger.info("%s", listed)
        return ""
    return (
        f"it found no GPU: {listed or 'nvidia-smi lists none'}. Choose an InstanceType with an NVIDIA GPU, for example "
        "g5.xlarge, and an image whose driver knows it."
    )


def _silent_cuda() -> str:
    try:
        answer_of(MAKE_DEVICE_FILES, seconds=ANSWER_SECONDS)
    except CommandError as error:
        logger.warning("the device files of CUDA are left to the image: %s", error)
    try:
        code = answer_of(["python3", "-c", ASK_CUDA], seconds=ANSWER_SECONDS).strip()
    except CommandError as error:
        code = str(error)
    if code == "0":
        return ""
    return f"CUDA answers {code}: {MEANINGS.get(code, 'nvidia-smi and the log of the kernel say more')}."
