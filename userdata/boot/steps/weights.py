"""Provides the weights of the model that the job asks for."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from pathlib import Path
from typing import Optional

from userdata.boot.machine.commands import CommandError, run_logged
from userdata.boot.machine.fetcher import fetcher, give
from userdata.boot.machine.step_error import StepError
from userdata.boot.machine.whole import is_whole, mark_whole
from userdata.boot.steps.bundled_model import check_bundled_model
from userdata.boot.steps.downloads import Downloads
from userdata.boot.steps.machine import Machine
from userdata.boot.steps.model_folder import complete_model_folder
from userdata.contract.bundle import BUNDLE
from userdata.contract.catalogue import find_model, read_catalogue
from userdata.contract.layout import Folders

logger = logging.getLogger(__name__)
MAKE_SECONDS = 600
# The module of the bundle that makes random weights.
TINY_MODEL = "userdata.worker.model.tiny_model"


def are_made_here(machine: Machine) -> bool:
    """Whether the machine makes the model's weights, with the worker's interpreter, instead of fetching them."""
    try:
        return find_model(machine.parameters["Model"]).is_noise
    except KeyError:
        return False  # `provide_weights` tells it


def provide_weights(
    machine: Machine, downloads: Downloads, *, python: Optional[Path], catalogue: Path = BUNDLE.catalogue
) -> Path:
    """The folder with the weights of the model that the job asks for.

    Missing weights are fetched or made. A model of the bundle stays there. `python` is the worker's interpreter, for
    weights that `are_made_here`, else None. Raises `StepError`.
    """
    folders, name = machine.folders, machine.parameters["Model"]
    try:
        model = find_model(name, catalogue)
    except KeyError:
        known = ", ".join(read_catalogue(catalogue))
        raise StepError(
            f"Model {name} is neither in the catalogue nor the place of a checkpoint. Deploy again with one of {known}."
        ) from None
    if model.bundled_sha256 is not None:
        bundled = folders.deployed.models / name
        check_bundled_model(bundled, model.bundled_sha256)
        return bundled
    if model.is_own:
        # Two references never share a folder.
        folder = folders.models / ("own-" + hashlib.sha256(name.encode()).hexdigest()[:16])
        downloads.own(name, folder)
        return folder
    folder = folders.models / name
    if not model.files:
        assert python
        _make(folders, folder, python)
        return folder
    logger.info("%s, licence %s", model.title, model.licence)
    for place, file in model.places(folder).items():
        downloads.listed(model, file, place)
    if len(model.files) > 1:
        assert model.layout
        complete_model_folder(folder, folders.deployed, model.layout)
    return folder


def _make(folders: Folders, folder: Path, python: Path) -> None:
    """Has the worker's interpreter make random weights, unless `folder` has those of the same recipe."""
    try:
        recipe = [folders.deployed.tiny_model, *sorted(folders.deployed.models.glob("**/*.json"))]
        made_of = hashlib.sha256(b"".join(file.read_bytes() for file in recipe)).hexdigest()
    except OSError as error:
        raise StepError(f"The bundle is incomplete: {error}. Deploy again from a whole checkout.") from error
    if is_whole(folder, made_of):
        logger.info("%s is already there", folder)
        return
    part = folder.with_name(folder.name + ".part")
    made = part / folder.name
    for unfinished in (folder, part):
        shutil.rmtree(unfinished, ignore_errors=True)
    user = fetcher(folders)
    give(part, user)
    try:
        words = [str(python), "-m", TINY_MODEL, str(made)]
        run_logged(words, seconds=MAKE_SECONDS, folder=folders.bundle, user=user)
    except CommandError as error:
        raise StepError(
            f"The weights of {folder.name} could not be made: {error}. To try again, start the instance."
        ) from error
    if user:
        os.chown(part, 0, 0)  # from here on `made` stays what it is
    if made.is_symlink():
        raise StepError(f"{made} is a link, and not the model. To try again, start the instance.")
    mark_whole(made, made_of)
    made.rename(folder)
    shutil.rmtree(part)
