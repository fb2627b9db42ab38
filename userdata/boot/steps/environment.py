"""Provides the interpreter that the worker runs in: the conda environment `ldm`, or one that the image brings."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import shutil
from pathlib import Path
from typing import Dict, Optional

from userdata.boot.machine.commands import CommandError, answer_of, run_logged
from userdata.boot.machine.step_error import StepError
from userdata.boot.machine.whole import is_whole, mark_whole
from userdata.boot.steps.conda import PIP_INSTALL, VERSION, install_conda
from userdata.boot.steps.machine import Machine
from userdata.contract.layout import CACHE, Folders
from userdata.contract.patience import Patience

logger = logging.getLogger(__name__)
NAME = "ldm"
PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "safetensors", "numpy", "PIL", "boto3", "pydantic")
CREATE_SECONDS = 1200
INSTALL_SECONDS = 3600
CHECK_SECONDS = 300

# Only looks the packages up: importing torch takes seconds of every boot, and the worker does it anyway.
_MISSING = """
import importlib.util, sys
print(" ".join(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))
"""
_IMPORT = "import diffusers, torch; print(torch.__version__)"
# Triton is not there for every torch; what has no version has no kernels either.
_VERSIONS = """
import platform
from importlib.metadata import distributions
found = {name: one.version for one in distributions() if (name := one.metadata["Name"]) in ("torch", "triton")}
print(platform.python_version(), sorted(found.items()))
"""
_GPU = "import torch; print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else '')"


def find_interpreter(machine: Machine) -> Optional[Path]:
    """The worker's interpreter, if this machine has one that serves; if not, `provide_interpreter` says why."""
    named = machine.settings.get("SD_PYTHON")
    if not named:
        return find_environment(machine.folders)
    try:
        return use_interpreter(named)
    except StepError:
        return None


def provide_interpreter(machine: Machine, *, found: Optional[Path]) -> Path:
    """The worker's interpreter, which can use the GPU; `found` is the answer of `find_interpreter`.

    The check of the GPU imports torch, which takes seconds; in a `found` interpreter the worker does both already.
    Raises `StepError`.
    """
    named = machine.settings.get("SD_PYTHON")
    python = (found or use_interpreter(named)) if named else provide_environment(machine)
    if machine.has_gpu and not found:
        check_gpu(python)
    return python


def use_interpreter(python: str) -> Path:
    """The interpreter that the image names as `SD_PYTHON`. Raises `StepError`, naming what it lacks."""
    try:
        missing = answer_of([python, "-c", _MISSING, *PACKAGES], seconds=CHECK_SECONDS).split()
    except CommandError as error:
        raise StepError(f"SD_PYTHON={python} does not run: {error}. Correct machine.env in the image.") from error
    if missing:
        raise StepError(
            f"SD_PYTHON={python} lacks {', '.join(missing)}. Install userdata/requirements.txt for it, or remove "
            "SD_PYTHON from machine.env to have the environment built."
        )
    logger.info("using the image's interpreter %s", python)
    return Path(python)


def provide_environment(machine: Machine) -> Path:
    """The interpreter of the environment `ldm`: the one on the disk, else the cache's, else one that is built now.

    Raises `StepError`.
    """
    folders, cache = machine.folders, machine.cache
    key = environment_key(folders)
    python = find_environment(folders)
    if python is None and cache and cache.take_folder(key, _place(folders)):
        try:
            python = find_environment(folders)
            if python is None:
                raise StepError("it is not finished")
            missing = answer_of([str(python), "-c", _MISSING, *PACKAGES], seconds=CHECK_SECONDS).split()
            if missing:
                raise StepError(f"it lacks {', '.join(missing)}")
        except StepError as error:
            cache.reject(key, str(error))
            python = None
    if python is None:
        python = build_environment(folders, install_conda(machine))
    if cache:
        cache.has(key, _place(folders), built_from=_origin(folders))
    return python


def find_environment(folders: Folders) -> Optional[Path]:
    """The interpreter of a finished environment that was built from the bundle's definition, or None."""
    python = _place(folders) / "bin/python"
    if is_whole(_place(folders), _fingerprint(folders)) and python.exists():
        logger.info("the environment %s is already there", NAME)
        return python
    return None


def build_environment(folders: Folders, conda: Path, *, patience: Optional[Patience] = None) -> Path:
    """The interpreter of the environment `ldm`, built anew from the bundle's definition. Raises `StepError`."""
    patience = patience or Patience(attempts=3, first_pause=15)
    definition, environment = folders.deployed.root, _place(folders)
    python = environment / "bin/python"
    downloads = folders.software / "downloads/pip"  # makes a second attempt cheap; the wheels are of no use afterwards
    create = [str(conda), "env", "create", "--quiet", "--yes", "--file", str(definition / "environment.yaml")]
    create += ["--prefix", str(environment)]
    install = [str(python), *PIP_INSTALL, "--require-hashes", "--no-deps", "--only-binary", ":all:"]
    install += ["--cache-dir", str(downloads), "--requirement", str(definition / "requirements.txt")]

    def create_anew() -> None:
        if environment.exists():
            logger.info("removing an unfinished or outdated environment")
            shutil.rmtree(environment)
        run_logged(create, seconds=CREATE_SECONDS)

    try:
        patience.retry(create_anew, on=CommandError)
        patience.retry(lambda: run_logged(install, seconds=INSTALL_SECONDS), on=CommandError)
        shutil.rmtree(downloads, ignore_errors=True)
        logger.info("torch %s", answer_of([str(python), "-c", _IMPORT], seconds=CHECK_SECONDS).strip())
    except CommandError as error:
        raise StepError(
            f"The environment {NAME} could not be built: {error}. To try again, start the instance."
        ) from error
    mark_whole(environment, _fingerprint(folders))
    return python


def environment_key(folders: Folders) -> str:
    """The environment's place in the cache: `cache/env/` and a hash of all that it is built from and bound to."""
    origin = json.dumps(_origin(folders), sort_keys=True)
    return f"{CACHE}env/{hashlib.sha256(origin.encode()).hexdigest()}/"


def interpreter_key(machine: Machine, python: Path) -> str:
    """What compiled kernels are bound to: the environment's key, or the versions in the image's own interpreter.

    Raises `CommandError` for an interpreter that does not run.
    """
    if not machine.settings.get("SD_PYTHON"):
        return environment_key(machine.folders)
    return answer_of([str(python), "-c", _VERSIONS], seconds=CHECK_SECONDS).strip()


def _origin(folders: Folders) -> Dict[str, str]:
    """What an environment follows from. Conda writes its path into files, and wheels are chosen by machine and libc."""
    return {
        "definition": _fingerprint(folders),
        "miniforge": VERSION,
        "prefix": str(_place(folders)),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
    }


def _place(folders: Folders) -> Path:
    return folders.conda / "envs" / NAME


def _fingerprint(folders: Folders) -> str:
    definition = folders.deployed.root
    content = b"".join((definition / name).read_bytes() for name in ("environment.yaml", "requirements.txt"))
    return hashlib.sha256(content).hexdigest()


def check_gpu(python: Path) -> None:
    """Raises `StepError` when torch, in this interpreter, cannot use the GPU."""
    try:
        gpu = answer_of([str(python), "-c", _GPU], seconds=CHECK_SECONDS).strip()
    except CommandError as error:
        raise StepError(f"torch does not start: {error}. Check the image's driver with nvidia-smi.") from error
    if not gpu:
        raise StepError(
            "torch finds no usable GPU, though the driver lists one: the driver is older than torch's CUDA, or the GPU "
            "older than its kernels. Use a current Deep Learning AMI and an InstanceType such as g5.xlarge."
        )
    logger.info("torch uses %s", gpu)
