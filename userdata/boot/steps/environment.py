"""Provides the interpreter that the worker runs in: the conda environment `ldm`, or one that the image brings."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import shutil
from pathlib import Path
from typing import Mapping, Optional

from userdata.boot.fetch.cache import Cache
from userdata.boot.machine.commands import CommandError, answer_of, run_logged
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.conda import VERSION, install_conda
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
_GPU = "import torch; print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else '')"


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


def provide_environment(folders: Folders, settings: Mapping[str, str], cache: Optional[Cache]) -> Path:
    """The interpreter of the environment `ldm`: the one on the disk, else the cache's, else one that is built now.

    Raises `StepError`.
    """
    definition = folders.bundle / "userdata"
    key = environment_key(folders, definition)
    python = find_environment(folders, definition)
    if python is None and cache and cache.take_folder(key, _place(folders)):
        try:
            python = _try(folders, definition)
        except StepError as error:
            cache.reject(key, str(error))
    if python is None:
        python = build_environment(folders, install_conda(folders, settings), definition=definition)
    if cache:
        cache.has(key, _place(folders), built_from=_origin(folders, definition))
    return python


def find_environment(folders: Folders, definition: Path) -> Optional[Path]:
    """The interpreter of a finished environment that was built from `definition`, or None.

    `definition` is the folder with `environment.yaml` and `requirements.txt`. Their hash is the stamp of a finished
    environment.
    """
    python = _place(folders) / "bin/python"
    stamp = _stamp(folders)
    if stamp.exists() and stamp.read_text("ascii").strip() == _fingerprint(definition) and python.exists():
        logger.info("the environment %s is already there", NAME)
        return python
    return None


def build_environment(folders: Folders, conda: Path, *, definition: Path, patience: Optional[Patience] = None) -> Path:
    """The interpreter of the environment `ldm`, built anew from `definition`; see `find_environment`.

    Raises `StepError`.
    """
    patience = patience or Patience(attempts=3, first_pause=15)
    environment = _place(folders)
    python = environment / "bin/python"
    try:
        patience.retry(lambda: _create(conda, environment, definition), on=CommandError)
        patience.retry(lambda: _install_packages(folders, python, definition), on=CommandError)
        logger.info("torch %s", answer_of([str(python), "-c", _IMPORT], seconds=CHECK_SECONDS).strip())
    except CommandError as error:
        raise StepError(
            f"The environment {NAME} could not be built: {error}. To try again, start the instance."
        ) from error
    _stamp(folders).write_text(_fingerprint(definition) + "\n", "ascii")
    return python


def environment_key(folders: Folders, definition: Path) -> str:
    """The environment's place in the cache: `cache/env/` and a hash of all that it is built from and bound to."""
    origin = json.dumps(_origin(folders, definition), sort_keys=True)
    return f"{CACHE}env/{hashlib.sha256(origin.encode()).hexdigest()}/"


def _origin(folders: Folders, definition: Path) -> dict[str, str]:
    """What an environment follows from. Conda writes its path into files, and wheels are chosen by machine and libc."""
    return {
        "definition": _fingerprint(definition),
        "miniforge": VERSION,
        "prefix": str(_place(folders)),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
    }


def _place(folders: Folders) -> Path:
    return folders.conda / "envs" / NAME


def _stamp(folders: Folders) -> Path:
    return _place(folders) / ".whole"


def _try(folders: Folders, definition: Path) -> Path:
    """The interpreter of the environment that has come from the cache. Raises `StepError` when it does not serve."""
    python = find_environment(folders, definition)
    if python is None:
        raise StepError("it is not finished")
    missing = answer_of([str(python), "-c", _MISSING, *PACKAGES], seconds=CHECK_SECONDS).split()
    if missing:
        raise StepError(f"it lacks {', '.join(missing)}")
    return python


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


def _fingerprint(definition: Path) -> str:
    content = b"".join((definition / name).read_bytes() for name in ("environment.yaml", "requirements.txt"))
    return hashlib.sha256(content).hexdigest()


def _create(conda: Path, environment: Path, definition: Path) -> None:
    if environment.exists():
        logger.info("removing an unfinished or outdated environment")
        shutil.rmtree(environment)
    run_logged(
        [
            *(str(conda), "env", "create", "--quiet", "--yes"),
            *("--file", str(definition / "environment.yaml"), "--prefix", str(environment)),
        ],
        seconds=CREATE_SECONDS,
    )


def _install_packages(folders: Folders, python: Path, definition: Path) -> None:
    # The cache makes a second attempt cheap; the wheels are of no use afterwards.
    cache = folders.software / "downloads/pip"
    run_logged(
        [
            *(str(python), "-m", "pip", "install", "--require-hashes", "--no-deps", "--only-binary", ":all:"),
            *("--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--retries", "10"),
            *("--cache-dir", str(cache), "--requirement", str(definition / "requirements.txt")),
        ],
        seconds=INSTALL_SECONDS,
    )
    shutil.rmtree(cache, ignore_errors=True)
