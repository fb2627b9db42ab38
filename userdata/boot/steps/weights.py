"""Provides the weights of the model that the job asks for."""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path
from typing import Optional, Tuple

from userdata.boot.machine.commands import CommandError, run_logged
from userdata.boot.machine.step_error import StepError
from userdata.boot.machine.whole import is_whole, mark_whole
from userdata.boot.steps.bundled_model import check_bundled_model
from userdata.boot.steps.downloads import Downloads
from userdata.boot.steps.machine import Machine
from userdata.boot.steps.model_folder import complete_model_folder
from userdata.contract.bundle import BUNDLE
from userdata.contract.catalogue import Model, find_model, read_catalogue
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
    model, folder = _model_of(machine, catalogue)
    if model.bundled_sha256 is not None:
        check_bundled_model(folder, model.bundled_sha256)
        return folder
    if model.is_own:
        downloads.own(machine.parameters["Model"], folder)
        return folder
    if not model.files:
        assert python
        _make(machine.folders, folder, python)
        return folder
    logger.info("%s, licence %s", model.title, model.licence)
    for place, file in model.places(folder).items():
        downloads.listed(model, file, place)
    if len(model.files) > 1:
        assert model.layout
        complete_model_folder(folder, machine.folders.deployed, model.layout)
    return folder


def place_of_weights(machine: Machine) -> Path:
    """Where `provide_weights` provides them. Raises `StepError`."""
    return _model_of(machine, BUNDLE.catalogue)[1]


def _model_of(machine: Machine, catalogue: Path) -> Tuple[Model, Path]:
    """The model that the job asks for, and its folder."""
    folders, name = machine.folders, machine.parameters["Model"]
    try:
        model = find_model(name, catalogue)
    except KeyError:
        known = ", ".join(read_catalogue(catalogue))
        raise StepError(
            f"Model {name} is neither in the catalogue nor the place of a checkpoint. Deploy again with one of {known}."
        ) from None
    if model.bundled_sha256 is not None:
        return model, folders.deployed.models / name
    if model.is_own:
        # Two references never share a folder.
        name = "own-" + hashlib.sha256(name.encode()).hexdigest()[:16]
    return model, folders.models / name


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
    part.mkdir(parents=True)
    try:
        run_logged([str(python), "-m", TINY_MODEL, str(made)], seconds=MAKE_SECONDS, folder=folders.bundle)
    except CommandError as error:
        raise StepError(
            f"The weights of {folder.name} could not be made: {error}. To try again, start the instance."
        ) from error
    mark_whole(made, made_of)
    made.rename(folder)
    part.rmdir()
