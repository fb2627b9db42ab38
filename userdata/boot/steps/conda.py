"""Installs conda: Miniforge, pinned by version and hash.

Miniforge and not Miniconda, whose `defaults` channel stops in unattended use on its terms of service.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Mapping, Optional

from userdata.boot.fetch.download import download
from userdata.boot.fetch.request import Manner, Pinned
from userdata.boot.machine.commands import CommandError, run_logged
from userdata.boot.machine.step_error import StepError
from userdata.boot.machine.whole import is_whole, mark_whole
from userdata.contract.layout import Folders

logger = logging.getLogger(__name__)
RELEASES = "https://github.com/conda-forge/miniforge/releases/download"
VERSION = "26.3.2-3"
# As two independent projects state it: Homebrew/homebrew-cask, Casks/m/miniforge.rb (x86_64_linux), and
# spack/spack-packages, repos/spack_repo/builtin/packages/miniforge3/package.py (Linux-x86_64).
SHA256 = "848194851a98903134187fbb4ab50efe87b003e0c0f808f97644b7524a62bf2c"
INSTALL_SECONDS = 900
# An interpreter's arguments that install packages without a question to a person.
PIP_INSTALL = (
    *("-m", "pip", "install", "--no-input", "--disable-pip-version-check"),
    *("--progress-bar", "off", "--retries", "10"),
)


def install_conda(
    folders: Folders, settings: Mapping[str, str], *, sha256: str = SHA256, manner: Optional[Manner] = None
) -> Path:
    """The `conda` command, installed if it is not there. `settings` may name a mirror.

    Conda writes its own path into its files, so it cannot be installed elsewhere and renamed into place; a mark says
    that an installation is whole, and one without is removed and done again. The folder itself stays, since root has
    given it to the user who runs this. Raises `StepError`.
    """
    conda = folders.conda / "bin/conda"
    if is_whole(folders.conda, sha256) and conda.exists():
        logger.info("Miniforge %s is already there", VERSION)
        return conda
    folders.conda.mkdir(parents=True, exist_ok=True)
    for left in folders.conda.iterdir():
        logger.info("removing %s of an unfinished or older Miniforge", left.name)
        shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    file = f"Miniforge3-{VERSION}-Linux-x86_64.sh"
    url = f"{settings.get('SD_MINIFORGE_URL', RELEASES).rstrip('/')}/{VERSION}/{file}"
    downloads = folders.fetched / "downloads"
    download(Pinned(url=url, sha256=sha256), downloads / file, manner)
    try:
        run_logged(["bash", str(downloads / file), "-b", "-p", str(folders.conda), "-f"], seconds=INSTALL_SECONDS)
    except CommandError as error:
        raise StepError(f"Miniforge could not be installed: {error}. To try again, start the instance.") from error
    shutil.rmtree(downloads)
    mark_whole(folders.conda, sha256)
    return conda
