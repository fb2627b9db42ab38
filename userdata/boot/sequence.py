"""The boot, step by step. Each step finds out by itself whether anything is to be done."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Optional

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.cache import OFF, Cache
from userdata.boot.machine.deployed import KEEP, deployed_parameters
from userdata.boot.machine.instance_metadata import read_instance
from userdata.boot.machine.machine_settings import read_machine_settings
from userdata.boot.machine.power_off import power_off
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.bytecode import compile_for_worker
from userdata.boot.steps.companions import provide_loras, provide_safety_checker
from userdata.boot.steps.compvis import provide_compvis
from userdata.boot.steps.downloads import Downloads
from userdata.boot.steps.driver import Driver
from userdata.boot.steps.environment import environment_key, find_interpreter, provide_interpreter
from userdata.boot.steps.kernels import provide_kernels
from userdata.boot.steps.machine import Machine
from userdata.boot.steps.weights import provide_weights
from userdata.boot.steps.worker_unit import WorkerUnit
from userdata.boot.telling.boot_log import start_log
from userdata.boot.telling.phases import Phases
from userdata.boot.telling.run_status import RunStatus
from userdata.contract.compvis import COMPVIS
from userdata.contract.layout import Folders
from userdata.contract.parameter_file import read_parameters
from userdata.contract.worker_environment import ModelEnvironment

logger = logging.getLogger(__name__)
FAILED_AND_REPORTED = 70


def boot(folders: Folders) -> int:
    """Makes the machine ready and starts the worker. Returns 0, or `FAILED_AND_REPORTED` once a failure is told.

    A failure powers the machine off unless `OnFailure` is `keep`.
    """
    phases = Phases(folders, start_log())
    worker = WorkerUnit(folders)
    try:
        with phases.phase("boot"):
            machine = _find_out(folders, phases)
            driver, found = Driver(machine), find_interpreter(machine)
            # Before the run is looked up, since importing takes the worker longest. Importing asks CUDA.
            if found and driver.is_ready():
                worker.start_ahead(machine, found, boot_started_at=phases.started_at)
            _find_run(phases, machine)
        with phases.phase("driver"):
            driver.wait()
        if found:
            worker.start_ahead(machine, found, boot_started_at=phases.started_at)
        python = _prepare(machine, phases, worker, found)
    except Exception as error:  # noqa: BLE001  # whatever it is, it must be told and must not cost money
        phases.fail(error)
        if deployed_parameters(folders).get("OnFailure") == KEEP:
            worker.stop()
        else:
            power_off("the boot failed")
        return FAILED_AND_REPORTED
    phases.finish()
    compile_for_worker(folders, python)
    return 0


def _find_out(folders: Folders, phases: Phases) -> Machine:
    """Reads the image's settings and the deployed parameters, and asks which instance this is."""
    settings = read_machine_settings(folders.machine_settings)
    os.environ.update(settings)
    try:
        parameters = read_parameters(folders.parameters)
    except (OSError, ValueError) as error:
        raise StepError(f"The deployed parameters cannot be read: {error}. Deploy the stack again.") from error
    os.environ.setdefault("AWS_DEFAULT_REGION", parameters["Region"])
    phases.bucket = Bucket(parameters["ResultsBucket"])
    instance = read_instance()
    phases.instance_id = instance.instance_id
    logger.info("%s is a %s in %s", instance.instance_id, instance.instance_type, instance.region)
    cache: Optional[Cache] = None
    if parameters.get("Cache") == OFF:
        folders.cache_notes.unlink(missing_ok=True)
    else:
        cache = Cache(phases.bucket, folders.cache_notes)
    return Machine(folders, settings, parameters, instance, cache)


def _find_run(phases: Phases, machine: Machine) -> None:
    assert phases.bucket
    try:
        found = phases.bucket.get(RunStatus.key(machine.parameters))
        phases.run = RunStatus.of(machine.parameters, instance_id=phases.instance_id, found=found)
    except (KeyError, ValueError) as error:
        raise StepError(f"The deployed parameters describe no run ({error!r}). Deploy the stack again.") from error
    logger.info("the run is %s%s", phases.run.status.run_id, ", which is done" if phases.run.done else "")
    phases.announce()


def _prepare(machine: Machine, phases: Phases, worker: WorkerUnit, found: Optional[Path]) -> Path:
    """Provides what the worker draws with and hands it over. Returns the worker's interpreter."""
    with phases.phase("environment", machine.cache):
        # First, since an image may lack what the scripts need, and the other environment takes minutes.
        original = provide_compvis(machine) if machine.parameters.get("Engine") == COMPVIS else None
        python = provide_interpreter(machine, found=found)
        compiled = provide_kernels(machine, environment=environment_key(machine.folders))
    worker.start_ahead(machine, python, boot_started_at=phases.started_at)
    with phases.phase("weights", machine.cache):
        downloads = Downloads(machine)
        model = provide_weights(machine, downloads, python=python)
        loras = provide_loras(machine, downloads)
        safety_checker = provide_safety_checker(machine, downloads)
    with phases.phase("worker"):
        phases.settle()
        worker.hand_over(
            ModelEnvironment(
                model_folder=model,
                lora_files=loras,
                safety_checker=safety_checker,
                compiled=compiled,
                compvis_repository=original.repository if original else None,
                compvis_python=original.python if original else None,
            )
        )
    return python
