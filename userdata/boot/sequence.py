"""The boot, step by step. Each step finds out by itself whether anything is to be done."""

from __future__ import annotations

import dataclasses
import logging
import os
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.cache import OFF, Cache
from userdata.boot.machine.deployed import KEEP, deployed_parameters
from userdata.boot.machine.fetcher import fetcher
from userdata.boot.machine.instance_metadata import read_instance
from userdata.boot.machine.machine_settings import read_machine_settings
from userdata.boot.machine.power_off import power_off
from userdata.boot.machine.side_by_side import begin
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.bytecode import compile_for_worker
from userdata.boot.steps.compvis import Original, provide_compvis
from userdata.boot.steps.driver import Driver
from userdata.boot.steps.environment import find_interpreter, interpreter_key, provide_interpreter
from userdata.boot.steps.job_files import provide_job_files_apart
from userdata.boot.steps.kernels import provide_kernels
from userdata.boot.steps.machine import Machine
from userdata.boot.steps.room import check_room
from userdata.boot.steps.weights import are_made_here
from userdata.boot.steps.worker_unit import WorkerUnit
from userdata.boot.telling.boot_log import start_log
from userdata.boot.telling.earlier import read_earlier_apart
from userdata.boot.telling.facts import Facts
from userdata.boot.telling.phases import Phases
from userdata.boot.telling.run_status import RunStatus
from userdata.contract.compvis import COMPVIS
from userdata.contract.layout import Folders
from userdata.contract.parameter_file import read_parameters
from userdata.contract.worker_environment import ModelEnvironment
from userdata.fleet.market import Market

logger = logging.getLogger(__name__)
FAILED_AND_REPORTED = 70


@dataclass(frozen=True)
class _Equipment:
    """What the worker runs in: its interpreter, compiled kernels to begin with, and the original scripts."""

    python: Path
    compiled: Optional[Path]
    original: Optional[Original]


def boot(folders: Folders) -> int:
    """Makes the machine ready and starts the worker. Returns 0, or `FAILED_AND_REPORTED` once a failure is told.

    A failure powers the machine off unless `OnFailure` is `keep`.
    """
    phases = Phases(folders, start_log(), Facts(folders.machine_settings))
    worker = WorkerUnit(folders)
    try:
        with phases.phase("boot"):
            machine = _find_out(folders, phases)
            driver, found = Driver(machine), find_interpreter(machine)
            # Before the run is looked up, since importing takes the worker longest. Importing asks CUDA.
            if found and driver.is_ready():
                worker.start_ahead(machine, found, boot_started_at=phases.started_at)
            if Market.read(machine.parameters) is None:  # a machine of a fleet does not do the deployed run
                _find_run(phases, machine)
            check_room(machine, found=found)
        equipment = begin(lambda: _equip(machine, phases, worker, driver, found))
        files = begin(lambda: _fetch(machine, phases, equipment))
        for one in as_completed((equipment, files)):
            one.result()  # the first failure ends the boot, whatever else is under way
        with phases.phase("worker"):
            _hand_over(phases, worker, equipment.result(), files.result())
    except Exception as error:  # noqa: BLE001  # whatever it is, it must be told and must not cost money
        phases.fail(error)
        parameters = deployed_parameters(folders)
        if parameters.get("OnFailure") == KEEP:
            worker.stop()
        else:
            power_off("the boot failed", parameters, failure=str(error))
        return FAILED_AND_REPORTED
    phases.finish()
    compile_for_worker(folders, equipment.result().python)
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
        key = RunStatus.key(machine.parameters)
        earlier = read_earlier_apart(phases.bucket, key, fetcher(machine.folders))
        phases.run = RunStatus.of(machine.parameters, instance_id=phases.instance_id, earlier=earlier)
    except (KeyError, ValueError) as error:
        raise StepError(f"The deployed parameters describe no run ({error!r}). Deploy the stack again.") from error
    logger.info("the run is %s%s", phases.run.status.run_id, ", which is done" if phases.run.done else "")
    phases.announce()


def _equip(machine: Machine, phases: Phases, worker: WorkerUnit, driver: Driver, found: Optional[Path]) -> _Equipment:
    """Waits for the driver, provides the environment, and starts the worker in it, which begins to import."""
    with phases.phase("driver"):
        driver.wait()
    if found:
        worker.start_ahead(machine, found, boot_started_at=phases.started_at)
    with phases.phase("environment", machine.cache):
        # First, since an image may lack what the scripts need, and the other environment takes minutes.
        original = provide_compvis(machine) if machine.parameters.get("Engine") == COMPVIS else None
        python = provide_interpreter(machine, found=found)
        compiled = provide_kernels(machine, environment=interpreter_key(machine, python))
    worker.start_ahead(machine, python, boot_started_at=phases.started_at)
    return _Equipment(python, compiled, original)


def _fetch(machine: Machine, phases: Phases, equipment: Future[_Equipment]) -> ModelEnvironment:
    """Fetches all weights while the environment is built, for which the network and the disk have room."""
    made_with = equipment.result().python if are_made_here(machine) else None
    with phases.phase("weights", machine.cache):
        return provide_job_files_apart(machine, python=made_with)


def _hand_over(phases: Phases, worker: WorkerUnit, equipment: _Equipment, files: ModelEnvironment) -> None:
    phases.settle()
    worker.hand_over(
        dataclasses.replace(
            files,
            compiled=equipment.compiled,
            compvis_repository=equipment.original.repository if equipment.original else None,
            compvis_python=equipment.original.python if equipment.original else None,
        )
    )
