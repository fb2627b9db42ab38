"""What the boot hands over to a worker that it has started ahead: the places of what is drawn with."""

from __future__ import annotations

import logging
import os
import threading

from userdata.contract.environment_file import read_environment_file
from userdata.contract.layout import Folders
from userdata.job.run_error import Stopped

logger = logging.getLogger(__name__)
LOOK_SECONDS = 0.05


def wait_for_model(folders: Folders, stop: threading.Event) -> None:
    """Returns when the boot has everything ready, with its variables in the process's environment.

    There is no deadline: a download may take long, and a boot that fails stops the worker. A worker that is told its
    model when it starts, as by hand, waits for nobody. Raises `Stopped` once `stop` is set.
    """
    if _told(folders):
        return
    logger.info("Waiting for the boot to have the model ready")
    while not _told(folders):
        if stop.wait(LOOK_SECONDS):
            raise Stopped


def _told(folders: Folders) -> bool:
    if "SD_MODEL_FOLDER" not in os.environ:
        os.environ.update(read_environment_file(folders.model_environment))
    return "SD_MODEL_FOLDER" in os.environ
