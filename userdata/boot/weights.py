"""Provides the weights of the model that the job asks for."""

from __future__ import annotations

import hashlib
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Mapping, Optional

from userdata.boot.bundled_model import check_bundled_model
from userdata.boot.cache import Cache
from userdata.boot.commands import CommandError, run_logged
from userdata.boot.download import Manner, Pinned, download, part_of, write_stamp
from userdata.boot.step_error import StepError
from userdata.worker.catalogue import CATALOGUE, Model, Source, read_catalogue
from userdata.worker.layout import CACHE, Folders

logger = logging.getLogger(__name__)
HUB = "https://huggingface.co"
MAKE_SECONDS = 600


def provide_weights(
    folders: Folders,
    settings: Mapping[str, str],
    *,
    name: str,
    python: Path,
    cache: Optional[Cache] = None,
    catalogue: Path = CATALOGUE,
    manner: Optional[Manner] = None,
) -> Path:
    """The folder with the weights of the model called `name`.

    They are taken from `cache`, fetched or made where they are missing. A model of the bundle is used where it lies.

    `python` is the worker's interpreter, which makes the weights of a model without a source. Raises `StepError`.
    """
    models = read_catalogue(catalogue)
    if name not in models:
        raise StepError(f"Model {name} is not in the catalogue. Deploy again with one of {', '.join(models)}.")
    model = models[name]
    if model.bundled_sha256 is not None:
        bundled = folders.bundle / "userdata/models" / name
        check_bundled_model(bundled, model.bundled_sha256)
        return bundled
    folder = folders.models / name
    if model.source is None:
        _make(folders, folder, python)
    else:
        _fetch(model, _mirrored(model.source, settings), folder, cache, manner)
    return folder


def _mirrored(source: Source, settings: Mapping[str, str]) -> Source:
    mirror = settings.get("SD_WEIGHTS_URL")
    if not mirror or not source.url.startswith(HUB + "/"):
        return source
    return replace(source, url=mirror.rstrip("/") + source.url[len(HUB) :])


def _fetch(model: Model, source: Source, folder: Path, cache: Optional[Cache], manner: Optional[Manner]) -> None:
    logger.info("%s, licence %s", model.title, model.licence)
    file = folder / source.file
    key = f"{CACHE}weights/{source.sha256}/{source.file}"
    # What has been fetched of it goes on being fetched.
    if cache and not file.exists() and not part_of(file).exists() and cache.take_file(key, file, sha256=source.sha256):
        write_stamp(file, source.sha256)
    pinned = Pinned(url=source.url, sha256=source.sha256, bytes=source.bytes, page=model.page)
    download(pinned, file, manner)
    if cache:
        cache.has(key, file, built_from={})


def _recipe(bundle: Path) -> str:
    """A hash of everything that the made weights follow from."""
    try:
        files = [bundle / "worker/tiny_model.py", *sorted(bundle.glob("models/**/*.json"))]
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
            [str(python), "-m", "userdata.worker.tiny_model", str(part)], seconds=MAKE_SECONDS, folder=folders.bundle
        )
    except CommandError as error:
        raise StepError(
            f"The weights of {folder.name} could not be made: {error}. To try again, start the instance."
        ) from error
    (part / ".whole").write_text(wanted + "\n", "ascii")
    part.rename(folder)
