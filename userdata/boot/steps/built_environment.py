"""Builds the conda environment `ldm` from the bundle's definition; run as the user `sd-fetch`.

Conda, pip and the packages run code of their own while they install.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Optional

from userdata.boot.machine.commands import CommandError, answer_of, run_logged
from userdata.boot.machine.fetcher import main_apart
from userdata.boot.machine.step_error import StepError
from userdata.boot.machine.whole import is_whole, mark_whole
from userdata.boot.steps.conda import install_conda
from userdata.boot.steps.packages import install_packages
from userdata.contract.layout import Folders
from userdata.contract.patience import Patience

logger = logging.getLogger(__name__)
NAME = "ldm"
CREATE_SECONDS = 1200
CHECK_SECONDS = 300
# As the worker imports them, but that Python keeps the bytecode that it compiles here, and the worker may not.
# Compiling torch, diffusers, transformers and accelerate as a whole would be five times as much code.
_IMPORT = (
    "from userdata.worker.imports_ahead import import_libraries; import_libraries(); "
    "import torch; print(torch.__version__)"
)


def find_environment(folders: Folders) -> Optional[Path]:
    """The interpreter of a finished environment that was built from the bundle's definition, or None."""
    python = place_of(folders) / "bin/python"
    if is_whole(place_of(folders), fingerprint_of(folders)) and python.exists():
        logger.info("the environment %s is already there", NAME)
        return python
    return None


def build_environment(folders: Folders, conda: Path, *, patience: Optional[Patience] = None) -> Path:
    """The interpreter of the environment `ldm`, built anew from the bundle's definition. Raises `StepError`."""
    patience = patience or Patience(attempts=3, first_pause=15)
    definition, environment = folders.deployed.root, place_of(folders)
    python = environment / "bin/python"
    create = [str(conda), "env", "create", "--quiet", "--yes", "--file", str(definition / "environment.yaml")]
    create += ["--prefix", str(environment)]

    def create_anew() -> None:
        if environment.exists():
            logger.info("removing an unfinished or outdated environment")
            shutil.rmtree(environment)
        run_logged(create, seconds=CREATE_SECONDS)

    try:
        patience.retry(create_anew, on=CommandError)
        install_packages(python, folders, patience)
        version = answer_of([str(python), "-c", _IMPORT], seconds=CHECK_SECONDS, folder=folders.bundle).strip()
        logger.info("torch %s", version)
    except CommandError as error:
        full = "No space left" in error.output
        advice = "Deploy again with a larger VolumeSize." if full else "To try again, start the instance."
        raise StepError(f"The environment {NAME} could not be built: {error}. {advice}") from error
    mark_whole(environment, fingerprint_of(folders))
    return python


def place_of(folders: Folders) -> Path:
    """The folder of the environment."""
    return folders.conda / "envs" / NAME


def fingerprint_of(folders: Folders) -> str:
    """A hash of what the environment is built from."""
    definition = folders.deployed.root
    content = b"".join((definition / name).read_bytes() for name in ("environment.yaml", "requirements.txt"))
    return hashlib.sha256(content).hexdigest()


def main() -> int:
    """Builds the environment with the image's settings, which the boot has put into the process's environment."""
    folders = Folders()
    build_environment(folders, install_conda(folders, os.environ))
    return 0


if __name__ == "__main__":
    sys.exit(main_apart(main))
