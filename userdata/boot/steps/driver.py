"""Waits for the GPU's driver."""

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


def wait_for_driver(
    machine: Machine,
    *,
    seconds: float = 240,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Returns when `nvidia-smi -L` lists a GPU, or at once on a machine whose image says `SD_DEVICE=cpu`.

    The driver's modules may still be loading when user data runs, hence the wait. Raises `StepError` when no GPU
    has answered within `seconds`, or when there is no driver at all.
    """
    if not machine.has_gpu:
        logger.info("the image says SD_DEVICE=cpu: no driver is looked for")
        return
    instance_type = machine.instance.instance_type
    if shutil.which("nvidia-smi") is None:
        raise StepError(
            f"This image has no NVIDIA driver (no nvidia-smi) on {instance_type}. Use the Deep Learning AMI, or an "
            "image with the driver."
        )
    deadline = clock() + seconds
    while True:
        try:
            listed = answer_of(["nvidia-smi", "-L"], seconds=ANSWER_SECONDS).strip()
        except CommandError as error:
            listed = str(error)
        if listed.startswith("GPU "):
            logger.info("%s", listed)
            return
        if clock() >= deadline:
            raise StepError(
                f"The NVIDIA driver found no GPU on {instance_type} within {seconds:g} s: "
                f"{listed or 'nvidia-smi lists none'}. "
                "Choose an InstanceType with an NVIDIA GPU, for example g5.xlarge, and an image whose driver knows it."
            )
        sleep(PAUSE_SECONDS)
