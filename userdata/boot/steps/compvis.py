"""Provides the original scripts: CompVis's repository at one commit, and the environment that they run in.

A commit's name is a hash over all its files, and git checks them as it receives them: no other pin is needed. The
scripts' environment has the name of the worker's, `ldm`, and a folder of its own. The cache does not keep it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Optional

from userdata.boot.machine.commands import CommandError, answer_of, run_logged
from userdata.boot.machine.fetcher import fetcher, give, main_apart, run_apart
from userdata.boot.machine.step_error import StepError
from userdata.boot.machine.whole import is_whole, mark_whole
from userdata.boot.steps.conda import PIP_INSTALL, install_conda
from userdata.boot.steps.machine import Machine
from userdata.contract.compvis import COMMIT, REPOSITORY
from userdata.contract.layout import Folders
from userdata.contract.patience import Patience

logger = logging.getLogger(__name__)
FILES = ("environment.yaml", "wheels.txt", "requirements.txt")
GIT_SECONDS = 600
CREATE_SECONDS = 1200
INSTALL_SECONDS = 3600
CHECK_SECONDS = 300
ALL_SECONDS = 18_000  # its parts have limits of their own
# One package of 2019 comes as source only; it is built with the pinned setuptools.
INSTALL_OPTIONS = ("--require-hashes", "--no-deps", "--no-build-isolation")
# What the two scripts import, and what their modules do.
IMPORT = (
    "import PIL, clip, cv2, diffusers.pipelines.stable_diffusion.safety_checker, einops, imwatermark, kornia, numpy, "
    "omegaconf, pytorch_lightning, taming.modules.vqvae.quantize, torch, torchvision, tqdm, transformers"
)


@dataclass(frozen=True)
class Original:
    """The repository's folder, and the interpreter of its environment."""

    repository: Path
    python: Path


def provide_compvis(machine: Machine) -> Original:
    """The original scripts, fetched, and their environment, built where it is missing, by the user `sd-fetch`.

    The machine's setting `SD_COMPVIS_URL` names a mirror of the repository, `SD_COMPVIS_PYTHON` an interpreter that the
    image brings. Raises `StepError`.
    """
    folders, user = machine.folders, fetcher(machine.folders)
    for folder in (_place(folders), folders.conda):
        give(folder, user)
    if run_apart("userdata.boot.steps.compvis", seconds=ALL_SECONDS, user=user):
        raise StepError("The original scripts could not be provided; the log says why. Start the instance again.")
    return _original(folders, machine.settings)


def make_compvis(folders: Folders, settings: Mapping[str, str], *, patience: Optional[Patience] = None) -> Original:
    """What `provide_compvis` has done apart from itself. Raises `StepError`."""
    patience = patience or Patience(attempts=3, first_pause=15)
    place, found = _place(folders), _original(folders, settings)
    _fetch(found.repository, settings.get("SD_COMPVIS_URL") or REPOSITORY, patience)
    if not settings.get("SD_COMPVIS_PYTHON"):
        _provide_environment(folders, settings, patience)
    try:
        answer_of([str(found.python), "-c", IMPORT], seconds=CHECK_SECONDS)
    except CommandError as error:
        raise StepError(
            f"The environment of the original scripts does not work: {error}. Deploy with Engine=diffusers, or delete "
            f"{place} on the machine and start the instance again."
        ) from error
    return found


def _place(folders: Folders) -> Path:
    return folders.software / "compvis"


def _original(folders: Folders, settings: Mapping[str, str]) -> Original:
    place = _place(folders)
    named = settings.get("SD_COMPVIS_PYTHON")
    return Original(place / "stable-diffusion", Path(named) if named else place / "envs/ldm/bin/python")


def _fetch(repository: Path, url: str, patience: Patience) -> None:
    if shutil.which("git") is None:
        raise StepError(
            "This image has no git, which Engine=compvis needs. Use the Deep Learning AMI, or another image with git, "
            "or deploy with Engine=diffusers."
        )
    git = ["git", "-C", str(repository)]
    if repository.exists() and _head(repository) == COMMIT:
        logger.info("%s is already there", repository)
        return
    shutil.rmtree(repository, ignore_errors=True)
    repository.mkdir(parents=True)
    try:
        answer_of([*git, "init", "--quiet"], seconds=CHECK_SECONDS)
        patience.retry(
            lambda: run_logged([*git, "fetch", "--quiet", "--depth", "1", url, COMMIT], seconds=GIT_SECONDS),
            on=CommandError,
        )
        answer_of([*git, "checkout", "--quiet", COMMIT], seconds=GIT_SECONDS)
    except CommandError as error:
        raise StepError(
            f"The original scripts could not be fetched from {url}: {error}. Check the network, or SD_COMPVIS_URL if a "
            "mirror is set, then start the instance again."
        ) from error
    if _head(repository) != COMMIT:
        raise StepError(f"{url} has another commit than {COMMIT}. Do not use it; check SD_COMPVIS_URL.")


def _head(repository: Path) -> str:
    try:
        return answer_of(["git", "-C", str(repository), "rev-parse", "HEAD"], seconds=CHECK_SECONDS).strip()
    except CommandError:
        return ""


def _provide_environment(folders: Folders, settings: Mapping[str, str], patience: Patience) -> None:
    """Builds the scripts' environment, if it is not there."""
    environment, definition = _place(folders) / "envs/ldm", folders.deployed.compvis
    fingerprint = hashlib.sha256(b"".join((definition / name).read_bytes() for name in FILES)).hexdigest()
    python = environment / "bin/python"
    if is_whole(environment, fingerprint) and python.exists():
        logger.info("the environment of the original scripts is already there")
        return
    create = [str(install_conda(folders, settings)), "env", "create", "--quiet", "--yes"]
    create += ["--file", str(definition / "environment.yaml"), "--prefix", str(environment)]
    install = [str(python), *PIP_INSTALL, *INSTALL_OPTIONS, "--no-cache-dir"]
    install += ["--requirement", str(definition / "wheels.txt"), "--requirement", str(definition / "requirements.txt")]

    def create_anew() -> None:
        shutil.rmtree(environment, ignore_errors=True)
        run_logged(create, seconds=CREATE_SECONDS)

    try:
        patience.retry(create_anew, on=CommandError)
        patience.retry(lambda: run_logged(install, seconds=INSTALL_SECONDS), on=CommandError)
    except CommandError as error:
        raise StepError(
            f"The environment of the original scripts could not be built: {error}. To try again, start the instance."
        ) from error
    mark_whole(environment, fingerprint)


if __name__ == "__main__":
    sys.exit(main_apart(lambda: 0 if make_compvis(Folders(), os.environ) else 1))
