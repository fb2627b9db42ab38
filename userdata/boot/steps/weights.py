"""Provides the weights of the model that the job asks for."""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path

from userdata.boot.machine.commands import CommandError, run_logged
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.bundled_model import check_bundled_model
from userdata.boot.steps.downloads import Downloads
from userdata.boot.steps.model_folder import complete_model_folder
from userdata.contract.catalogue import CATALOGUE, Model, find_model, read_catalogue
from userdata.contract.layout import Folders

logger = logging.getLogger(__name__)
MAKE_SECONDS = 600


def provide_weights(
    folders: Folders, downloads: Downloads, *, name: str, python: Path, catalogue: Path = CATALOGUE
) -> Path:
    """The folder with the weights of the model called `name`.

    They are fetched or made where they are missing. A model of the bundle is used where it lies. `python` is the
    worker's interpreter, which makes the weights of a model without files. Raises `StepError`.
    """
    try:
        model = find_model(name, catalogue)
    except KeyError:
        known = ", ".join(read_catalogue(catalogue))
        raise StepError(
            f"Model {name} is neither in the catalogue nor the place of a checkpoint. Deploy again with one of {known}."
        ) from None
    if model.bundled_sha256 is not None:
        bundled = folders.bundle / "userdata/models" / name
        check_bundled_model(bundled, model.bundled_sha256)
        return bundled
    folder = folders.models / folder_name(name)
    if model.is_own:
        downloads.own(name, folder)
    elif model.files:
        _fetch(folders, downloads, model, folder)
    else:
        _make(folders, folder, python)
    return folder


def folder_name(name: str) -> str:
    """A model's folder: its name, or for somebody's own a name that follows from the whole of where it lies."""
    if "/" not in name:
        return name
    return "own-" + hashlib.sha256(name.encode()).hexdigest()[:16]


def _fetch(folders: Folders, downloads: Downloads, model: Model, folder: Path) -> None:
    logger.info("%s, licence %s", model.title, model.licence)
    for file in model.files:
        downloads.listed(model, file, folder)
    if len(model.files) > 1:
        assert model.layout
        complete_model_folder(folder, folders.bundle / "userdata/models", model.layout)


def _recipe(bundle: Path) -> str:
    """A hash of everything that the made weights follow from."""
    try:
        files = [bundle / "worker/model/tiny_model.py", *sorted(bundle.glob("models/**/*.json"))]
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    except OSError as error:
        raise StepError(f"The bundle is incomplete: {error}. Deploy again from a whole checkout.") from error


def _make(folders: Folders, folder: Path, python: Path) -> None:
    stamp = folder / ".whole"
    wanted = _recipe(folders.bundle / "userdata")
    if stamp.exists() and stamp.read_text("ascii").strip() == wanted:
        logger.info("%s is already there", folder)
        return
    part = folder.with_name(folder.name + ".part")
    for unfinished in (folder, part):
        shutil.rmtree(unfinished, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        run_logged(
            [str(python), "-m", "userdata.worker.model.tiny_model", str(part)],
            seconds=MAKE_SECONDS,
            folder=folders.bundle,
        )
    except CommandError as error:
        raise StepError(
            f"The weights of {folder.name} could not be made: {error}. To try again, start the instance."
        ) from error
    (part / ".whole").write_text(wanted + "\n", "ascii")
    part.rename(folder)
