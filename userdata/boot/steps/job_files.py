"""Provides all files that a job is drawn with: its model, what belongs to it, the safety checker.

Root has that done by the user `sd-fetch`, since anybody may be behind the answers of servers and what is in their
files. It takes nothing from there but the exit status: where the files lie follows from the parameters alone.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Optional

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.cache import OFF, Cache
from userdata.boot.machine.fetcher import fetcher, give, main_apart, run_apart
from userdata.boot.machine.instance_metadata import Instance
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.companions import provide_embeddings, provide_loras, provide_safety_checker, provide_vae
from userdata.boot.steps.downloads import Downloads, Places
from userdata.boot.steps.machine import Machine
from userdata.boot.steps.weights import place_of_weights, provide_weights
from userdata.contract.layout import Folders
from userdata.contract.parameter_file import read_parameters
from userdata.contract.worker_environment import ModelEnvironment

FETCH_SECONDS = 86_400  # its parts have limits of their own
SERVED_BY_CACHE = 3
NO_MATTER = Instance("", "", "", "on-demand")  # which instance it is


def provide_job_files(machine: Machine, *, python: Optional[Path]) -> ModelEnvironment:
    """Where the files lie that the job of `machine.parameters` is drawn with; what is missing is fetched.

    `python` is the worker's interpreter, for weights that are made here. Raises `StepError`.
    """
    downloads = Downloads(machine)
    return _with_companions(machine, downloads, provide_weights(machine, downloads, python=python))


def provide_job_files_apart(machine: Machine, *, python: Optional[Path]) -> ModelEnvironment:
    """`provide_job_files` in a process of its own, as `sd-fetch`, for the deployed job. Raises `StepError`."""
    user = fetcher(machine.folders)
    give(machine.folders.models, user, keep=True)  # what root has fetched before is not fetched again
    module = "userdata.boot.steps.job_files"
    code = run_apart(module, str(python or ""), seconds=FETCH_SECONDS, user=user)
    if code not in (0, SERVED_BY_CACHE):
        raise StepError("The weights could not be provided; the log says why. To try again, start the instance.")
    if machine.cache and code == SERVED_BY_CACHE:
        machine.cache.served()
    return _with_companions(machine, Places(), place_of_weights(machine))


def _with_companions(machine: Machine, downloads: Places, weights: Path) -> ModelEnvironment:
    return ModelEnvironment(
        model_folder=weights,
        lora_files=provide_loras(machine, downloads),
        vae_file=provide_vae(machine, downloads),
        embedding_files=provide_embeddings(machine, downloads),
        safety_checker=provide_safety_checker(machine, downloads),
    )


def main() -> int:
    """Provides the files of the deployed job; the boot has put the image's settings into the environment."""
    folders = Folders()
    parameters = read_parameters(folders.parameters)
    cache = Cache(Bucket(parameters["ResultsBucket"]), folders.fetched_notes)
    if parameters.get("Cache") == OFF:
        folders.fetched_notes.unlink(missing_ok=True)
    machine = Machine(folders, os.environ, parameters, NO_MATTER, None if parameters.get("Cache") == OFF else cache)
    provide_job_files(machine, python=Path(sys.argv[1]) if sys.argv[1] else None)
    # Root sees whether the mark is there, and does not look into the notes.
    cache.mark_unkept(folders.fetched_unkept)
    return SERVED_BY_CACHE if cache.has_served() else 0


if __name__ == "__main__":
    sys.exit(main_apart(main))
