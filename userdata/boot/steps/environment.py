"""Provides the interpreter that the worker runs in: the conda environment `ldm`, or one that the image brings."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from pathlib import Path
from typing import Dict, List, Optional

from userdata.boot.machine.commands import CommandError, User, answer_of
from userdata.boot.machine.fetcher import fetcher, give, run_apart
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.built_environment import CHECK_SECONDS, NAME, find_environment, fingerprint_of, place_of
from userdata.boot.steps.conda import VERSION
from userdata.boot.steps.machine import Machine
from userdata.contract.layout import CACHE, Folders

logger = logging.getLogger(__name__)
PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "safetensors", "numpy", "PIL", "boto3", "pydantic")
BUILD_SECONDS = 10_800  # its parts have limits of their own

# Only looks the packages up: importing torch takes seconds of every boot, and the worker does it anyway.
_MISSING = """
import importlib.util, sys
print(" ".join(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))
"""
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
        return use_interpreter(named, fetcher(machine.folders))
    except StepError:
        return None


def provide_interpreter(machine: Machine, *, found: Optional[Path]) -> Path:
    """The worker's interpreter, which can use the GPU; `found` is the answer of `find_interpreter`.

    The check of the GPU imports torch, which takes seconds; in a `found` interpreter the worker does both already.
    Raises `StepError`.
    """
    named, user = machine.settings.get("SD_PYTHON"), fetcher(machine.folders)
    python = (found or use_interpreter(named, user)) if named else provide_environment(machine)
    if machine.has_gpu and not found:
        check_gpu(python, user)
    return python


def use_interpreter(python: str, user: Optional[User]) -> Path:
    """The interpreter that the image names as `SD_PYTHON`. Raises `StepError`, naming what it lacks."""
    try:
        missing = _missing_in(python, user)
    except CommandError as error:
        raise StepError(f"SD_PYTHON={python} does not run: {error}. Correct machine.env in the image.") from error
    if missing:
        raise StepError(
            f"SD_PYTHON={python} lacks {', '.join(missing)}. Install userdata/requirements.txt for it, or remove "
            "SD_PYTHON from machine.env to have the environment built."
        )
    logger.info("using the image's interpreter %s", python)
    return Path(python)


def _missing_in(python: str, user: Optional[User]) -> List[str]:
    """Those of `PACKAGES` that it has not. Raises `CommandError`. An environment of the cache may say anything."""
    said = answer_of([python, "-c", _MISSING, *PACKAGES], seconds=CHECK_SECONDS, user=user).split()
    missing = [name for name in PACKAGES if name in said]
    return missing if missing or not said else ["a Python that answers what it was asked"]


def provide_environment(machine: Machine) -> Path:
    """The interpreter of the environment `ldm`: the one on the disk, else the cache's, else one that is built now.

    Root neither unpacks nor builds it, nor runs what is in it. Raises `StepError`.
    """
    folders, cache = machine.folders, machine.cache
    key, user = environment_key(folders), fetcher(folders)
    python = find_environment(folders)
    if python is None:
        give(folders.conda, user)
    if python is None and cache and cache.take_folder(key, place_of(folders), user):
        try:
            python = find_environment(folders)
            if python is None:
                raise StepError("it is not finished")
            missing = _missing_in(str(python), user)
            if missing:
                raise StepError(f"it lacks {', '.join(missing)}")
        except StepError as error:
            cache.reject(key, str(error))
            python = None
    if python is None:
        run_apart("userdata.boot.steps.built_environment", seconds=BUILD_SECONDS, user=user)
        python = find_environment(folders)
    if python is None:
        raise StepError(f"The environment {NAME} could not be built. To try again, start the instance.")
    if cache:
        cache.has(key, place_of(folders), built_from=_origin(folders))
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
    words = [str(python), "-c", _VERSIONS]
    return answer_of(words, seconds=CHECK_SECONDS, user=fetcher(machine.folders)).strip()


def _origin(folders: Folders) -> Dict[str, str]:
    """What an environment follows from. Conda writes its path into files, and wheels are chosen by machine and libc."""
    return {
        "definition": fingerprint_of(folders),
        "miniforge": VERSION,
        "prefix": str(place_of(folders)),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
    }


def check_gpu(python: Path, user: Optional[User]) -> None:
    """Raises `StepError` when torch, in this interpreter, cannot use the GPU."""
    try:
        gpu = answer_of([str(python), "-c", _GPU], seconds=CHECK_SECONDS, user=user).strip()
    except CommandError as error:
        raise StepError(f"torch does not start: {error}. Check the image's driver with nvidia-smi.") from error
    if not gpu:
        raise StepError(
            "torch finds no usable GPU, though the driver lists one: the driver is older than torch's CUDA, or the GPU "
            "older than its kernels. Use a current Deep Learning AMI and an InstanceType such as g5.xlarge."
        )
    logger.info("torch uses %s", gpu[:100])
