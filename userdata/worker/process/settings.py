"""The settings of the worker: the variables of the boot's `worker.env` and `model.env`, and one of systemd's."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from userdata.contract.environment_file import read_environment_file
from userdata.contract.layout import Folders
from userdata.contract.worker_environment import ModelEnvironment, Variable, WorkerEnvironment
from userdata.job.run_error import RunError, Stopped

logger = logging.getLogger(__name__)
LOOK_SECONDS = 0.05
# systemd sets it; each unit has a folder of its own.
STATE_DIRECTORY = "STATE_DIRECTORY"
MODEL_FOLDER = ModelEnvironment.fields()["model_folder"].name


@dataclass(frozen=True, kw_only=True)
class Settings(ModelEnvironment, WorkerEnvironment):
    """The machine and its places. systemd makes `state_directory`, the worker's own folder."""

    state_directory: Annotated[Path, Variable(STATE_DIRECTORY, Path)]


def wait_for_settings(folders: Folders, environment: Mapping[str, str], stop: threading.Event) -> Settings:
    """The settings, once the boot has handed over what the worker draws with.

    There is no deadline: a download may take long, and a boot that fails stops the worker. A worker that is told its
    model in `environment`, as by hand, does not wait. Raises `Stopped` once `stop` is set, and `RunError` that names
    each variable that is missing or wrong.
    """
    told = dict(environment)
    if MODEL_FOLDER not in told:
        logger.info("Waiting for the boot to have the model ready")
    while MODEL_FOLDER not in told:
        told.update(read_environment_file(folders.model_environment))
        if MODEL_FOLDER not in told and stop.wait(LOOK_SECONDS):
            raise Stopped
    try:
        return Settings.read(told)
    except ValueError as error:
        raise RunError(
            f"The worker's environment is not as the boot writes it ({error}). Start the instance again, or set "
            "these variables when you start the worker by hand."
        ) from error
