"""`python3 -m userdata.boot.provide FOLDER`: provides the files of a queued job in FOLDER, for the worker.

Runs under the worker's user and interpreter, with rights to FOLDER alone. The parameters come as JSON on standard
input. The places of the files go to standard output, as `model.env` has them; a failure is one sentence there instead,
and the exit status `FAILED_AND_REPORTED`, or `FAILED_FOR_NOW` where the cause passes by itself. Rejected: a service of
root's, which would obey what a queue says.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Mapping

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.cache import OFF, Cache
from userdata.boot.machine.instance_metadata import Instance
from userdata.boot.machine.step_error import NoRoomError, PassingStepError, StepError
from userdata.boot.steps.job_files import provide_job_files
from userdata.boot.steps.machine import Machine
from userdata.contract.layout import Folders
from userdata.contract.worker_environment import FAILED_FOR_NOW, ModelEnvironment, WorkerEnvironment

logger = logging.getLogger(__name__)
FAILED_AND_REPORTED = 70
UNFINISHED = (".part", ".pieces")
WEIGHTS = (".safetensors", ".ckpt", ".bin", ".pt", ".pth")


def provide(folder: Path, parameters: Mapping[str, str], variables: Mapping[str, str]) -> ModelEnvironment:
    """Where the files of the job in `parameters` lie, below `folder` or in the bundle.

    `variables` are the worker's environment, in which the image's settings are too. On a full disk, what earlier
    queued jobs have fetched makes room. Raises `StepError`.
    """
    worker = WorkerEnvironment.read(variables)
    folders = Folders()
    boots_models, folders.models = folders.models, folder
    cache = None if parameters.get("Cache") == OFF else Cache(Bucket(worker.bucket), folder / "cache.json")
    instance = Instance(worker.instance_id, worker.instance_type, worker.region, worker.life_cycle)
    machine = Machine(folders, variables, parameters, instance, cache)
    _link_what_the_boot_has(boots_models, folder)
    try:
        return provide_job_files(machine, python=Path(sys.executable))
    except NoRoomError as error:
        logger.info("%s What earlier queued jobs were drawn with is removed first.", error)
        shutil.rmtree(folder)
        _link_what_the_boot_has(boots_models, folder)
        return provide_job_files(machine, python=Path(sys.executable))


def _link_what_the_boot_has(models: Path, folder: Path) -> None:
    """Links the boot's weights into `folder`, so that nothing is fetched twice, with copies of the small files there.

    All are checked as if they had been fetched. Small files may be written again, which the boot's own may not be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in models.glob("**/*"):
        path = file.relative_to(models)
        here = folder / path
        if file.is_dir() or here.exists() or any(part.endswith(UNFINISHED) for part in path.parts):
            continue
        here.parent.mkdir(parents=True, exist_ok=True)
        here.unlink(missing_ok=True)  # a link to a file that is gone
        if file.suffix in WEIGHTS:
            here.symlink_to(file)
        else:
            shutil.copyfile(file, here)


def main() -> int:
    """The exit status."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[stream])
    try:
        print(provide(Path(sys.argv[1]), json.load(sys.stdin), os.environ).to_text(), end="")  # noqa: T201
    except (StepError, OSError) as error:
        print(error)  # noqa: T201
        return FAILED_FOR_NOW if isinstance(error, PassingStepError) else FAILED_AND_REPORTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
