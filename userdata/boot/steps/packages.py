"""Installs the locked packages: with uv, which downloads and unpacks many at a time, else with pip."""

from __future__ import annotations

import ast
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Dict

from userdata.boot.machine.commands import CommandError, answer_of, run_logged
from userdata.boot.steps.conda import PIP_INSTALL
from userdata.contract.layout import Folders
from userdata.contract.patience import Patience

logger = logging.getLogger(__name__)
INSTALL_SECONDS = 3600
ANSWER_SECONDS = 60
# Files whose hashes are pinned, and no other.
ONLY_PINNED = ("--require-hashes", "--no-deps", "--only-binary", ":all:")
# How uv names what pip is told about a mirror.
MIRROR = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
# A first-found index would do where hashes decide nothing; here any index may have the pinned file.
UV_OPTIONS = ("--no-progress", "--index-strategy", "unsafe-best-match")


def install_packages(python: Path, folders: Folders, patience: Patience) -> None:
    """Installs what the bundle's requirements.txt pins into the interpreter's environment. Raises `CommandError`.

    pip serves where uv does not, since an image may have told pip of a mirror in a way that uv does not know. Bytecode
    is left to those who import.
    """
    downloads = folders.fetched / "downloads"
    locked = ("--requirement", str(folders.deployed.root / "requirements.txt"))
    pip = [str(python), *PIP_INSTALL, *ONLY_PINNED, "--no-compile"]
    try:
        try:
            _install_by_uv(python, downloads, pip, folders.deployed.root / "uv.txt", locked)
        except CommandError as error:
            logger.warning("uv did not install the packages (%s); pip is asked to", error)
            # The wheels that have come make a second attempt cheap, and are of no use afterwards.
            install = [*pip, "--cache-dir", str(downloads / "pip"), *locked]
            patience.retry(lambda: run_logged(install, seconds=INSTALL_SECONDS), on=CommandError)
    finally:
        shutil.rmtree(downloads, ignore_errors=True)


def _install_by_uv(python: Path, downloads: Path, pip: list[str], pinned: Path, locked: tuple[str, ...]) -> None:
    tool = downloads / "uv"
    shutil.rmtree(tool, ignore_errors=True)
    run_logged([*pip, "--no-cache-dir", "--target", str(tool), "--requirement", str(pinned)], seconds=INSTALL_SECONDS)
    # uv's own cache, on the same disk, lends its files to the environment: each is written once.
    install = [str(tool / "bin/uv"), "pip", "install", "--python", str(python), *ONLY_PINNED, *UV_OPTIONS]
    install += ["--cache-dir", str(downloads / "unpacked"), *locked]
    environment = {"UV_HTTP_RETRIES": "10", **_mirror(python), **_own_settings()}
    run_logged(install, seconds=INSTALL_SECONDS, folder=downloads, environment=environment)


def _own_settings() -> Dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("UV_")}


def _mirror(python: Path) -> Dict[str, str]:
    """What uv is told of a mirror, by what pip is told in the environment or in one of its files."""
    said = answer_of([str(python), "-m", "pip", "config", "list"], seconds=ANSWER_SECONDS)
    found: Dict[str, str] = {}
    # pip lists the values as Python writes them; those of the environment count most and come first.
    for name, value in re.findall(r"^[\w:-]+\.([a-z-]+)=('.*'|\".*\")$", said, re.MULTILINE):
        if name in MIRROR:
            found.setdefault(MIRROR[name], " ".join(str(ast.literal_eval(value)).split()))
    return found
