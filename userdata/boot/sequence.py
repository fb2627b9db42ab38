"""The boot, step by step. Every step finds out by itself whether there is anything to do."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Mapping, Optional

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.cache import OFF, Cache
from userdata.boot.machine.instance_metadata import Instance, read_instance
from userdata.boot.machine.machine_settings import read_machine_settings
from userdata.boot.machine.power_off import KEEP, power_off
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.bytecode import compile_for_worker
from userdata.boot.steps.companions import provide_lora, provide_safety_checker
from userdata.boot.steps.compvis import provide_compvis
from userdata.boot.steps.downloads import Downloads
from userdata.boot.steps.driver import wait_for_driver
from userdata.boot.steps.environment import (
    check_gpu,
    environment_key,
    find_environment,
    provide_environment,
    use_interpreter,
)
from userdata.boot.steps.kernels import provide_kernels
from userdata.boot.steps.weights import provide_weights
from userdata.boot.steps.worker_unit import WorkerUnit
from userdata.boot.telling.log_lines import start_log
from userdata.boot.telling.phases import Phases
from userdata.boot.telling.run_status import RunStatus
from userdata.contract.compvis import COMPVIS
from userdata.contract.layout import Folders
from userdata.contract.parameter_file import read_parameters

logger = logging.getLogger(__name__)
FAILED_AND_REPORTED = 70


def boot(folders: Folders) -> int:
    """Makes the machine ready and starts the worker. Returns 0, or `FAILED_AND_REPORTED` once a failure is told.

    A failure powers the machine off unless `OnFailure` is `keep`.
    """
    phases = Phases(folders, start_log())
    worker = WorkerUnit(folders)
    parameters: dict[str, str] = {}
    try:
        with phases.phase("boot"):
            settings = _settings(folders)
            parameters.update(_parameters(folders))
            instance = _identify(phases, parameters)
            environment = _environment(phases, settings, parameters, instance)
            python = _find_interpreter(folders, settings)
            if python:
                worker.start_ahead({**environment, "SD_PYTHON": str(python)})
            _find_run(phases, parameters)
        python = _prepare(folders, phases, worker, settings, parameters, environment, python)
    except Exception as error:  # noqa: BLE001  # whatever it is, it must be told and must not cost money
        phases.fail(error)
        if parameters.get("OnFailure") == KEEP:
            worker.stop()
        else:
            power_off("the boot failed")
        return FAILED_AND_REPORTED
    phases.finish()
    compile_for_worker(folders, python)
    return 0


def _settings(folders: Folders) -> dict[str, str]:
    settings = read_machine_settings(folders.machine_settings)
    os.environ.update(settings)
    return settings


def _parameters(folders: Folders) -> dict[str, str]:
    try:
        parameters = read_parameters(folders.parameters)
    except (OSError, ValueError) as error:
        raise StepError(f"The deployed parameters cannot be read: {error}. Deploy the stack again.") from error
    os.environ.setdefault("AWS_DEFAULT_REGION", parameters["Region"])
    return parameters


def _identify(phases: Phases, parameters: Mapping[str, str]) -> Instance:
    phases.bucket = Bucket(parameters["ResultsBucket"])
    instance = read_instance()
    phases.instance_id = instance.instance_id
    logger.info("%s is a %s in %s", instance.instance_id, instance.instance_type, instance.region)
    return instance


def _find_run(phases: Phases, parameters: Mapping[str, str]) -> None:
    assert phases.bucket
    try:
        found = phases.bucket.get(RunStatus.key(parameters))
        phases.run = RunStatus.of(parameters, instance_id=phases.instance_id, found=found)
    except (KeyError, ValueError) as error:
        raise StepError(f"The deployed parameters describe no run ({error!r}). Deploy the stack again.") from error
    logger.info("the run is %s%s", phases.run.status.run_id, ", which is done" if phases.run.done else "")
    phases.announce()


def _environment(
    phases: Phases, settings: Mapping[str, str], parameters: Mapping[str, str], instance: Instance
) -> dict[str, str]:
    """What the worker is told before its model is there."""
    return {
        **settings,
        "SD_BUCKET": parameters["ResultsBucket"],
        "SD_INSTANCE_ID": instance.instance_id,
        "SD_INSTANCE_TYPE": instance.instance_type,
        "SD_LIFE_CYCLE": instance.life_cycle,
        "AWS_DEFAULT_REGION": parameters["Region"],
        "SD_BOOT_STARTED_AT": phases.started_at,
    }


def _prepare(
    folders: Folders,
    phases: Phases,
    worker: WorkerUnit,
    settings: Mapping[str, str],
    parameters: Mapping[str, str],
    environment: Mapping[str, str],
    python: Optional[Path],
) -> Path:
    """Provides what the worker needs and hands it over; gives the worker's interpreter, `python` if it is there."""
    with phases.phase("driver"):
        wait_for_driver(settings, instance_type=environment["SD_INSTANCE_TYPE"])
    cache = _cache(folders, parameters)
    with phases.phase("environment", cache):
        python, compiled = _interpreter(folders, settings, cache, found=python)
        original = provide_compvis(folders, settings) if parameters.get("Engine") == COMPVIS else None
    environment = {**environment, "SD_PYTHON": str(python)}
    worker.start_ahead(environment)
    with phases.phase("weights", cache):
        downloads = Downloads(settings, hub_token=parameters.get("HubToken", ""), cache=cache)
        model = provide_weights(folders, downloads, name=parameters["Model"], python=python)
        lora = provide_lora(folders, downloads, parameters)
        safety_checker = provide_safety_checker(folders, downloads, parameters)
    with phases.phase("worker"):
        phases.settle()
        worker.hand_over(
            environment,
            {
                "SD_MODEL_FOLDER": str(model),
                **({"SD_COMPILED": str(compiled)} if compiled else {}),
                **(
                    {"SD_COMPVIS_REPOSITORY": str(original.repository), "SD_COMPVIS_PYTHON": str(original.python)}
                    if original
                    else {}
                ),
                **({"SD_LORA_FILE": str(lora)} if lora else {}),
                **({"SD_SAFETY_CHECKER": str(safety_checker)} if safety_checker else {}),
            },
        )
    return python


def _cache(folders: Folders, parameters: Mapping[str, str]) -> Optional[Cache]:
    if parameters.get("Cache") == OFF:
        folders.cache_notes.unlink(missing_ok=True)
        return None
    return Cache(Bucket(parameters["ResultsBucket"]), folders.cache_notes)


def _find_interpreter(folders: Folders, settings: Mapping[str, str]) -> Optional[Path]:
    """The worker's interpreter, where it is there already and serves; if not, the step `environment` says why."""
    named = settings.get("SD_PYTHON")
    if not named:
        return find_environment(folders, folders.bundle / "userdata")
    try:
        return use_interpreter(named)
    except StepError:
        return None


def _interpreter(
    folders: Folders, settings: Mapping[str, str], cache: Optional[Cache], *, found: Optional[Path]
) -> tuple[Path, Optional[Path]]:
    """The worker's interpreter, `found` or to be provided now, and the folder of the kernels that it begins with."""
    named = settings.get("SD_PYTHON")
    compiled = None
    if named:
        python = found or use_interpreter(named)
    else:
        python = provide_environment(folders, settings, cache)
        key = environment_key(folders, folders.bundle / "userdata")
        compiled = provide_kernels(folders, settings, cache, environment=key)
    if settings.get("SD_DEVICE") != "cpu":
        check_gpu(python)
    return python, compiled
