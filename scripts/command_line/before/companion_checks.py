"""Whether the job's model can be drawn with its VAE and its embeddings, as far as a look at their tensors tells."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from scripts.command_line.before.lora_checks import UNREADABLE, Beginning
from scripts.command_line.terminal.command_error import CommandError
from userdata.contract.bundle import BUNDLE
from userdata.contract.catalogue import find_model
from userdata.contract.safetensors_header import header_in
from userdata.job.job import Job
from userdata.job.run_error import RunError

logger = logging.getLogger(__name__)
VAE, EMBEDDINGS = "Vae", "Embeddings"


def check_companion_file(parameter: str, file: Path, job: Job) -> None:
    """Raises `CommandError` when `file`, of this machine, is not what `parameter` names for the model of `job`."""
    # Imported here, as below, because it takes seconds and only a job with such a file needs it.
    from userdata.worker.model.tensor_file import look_into

    try:
        shapes, _ = look_into(file)
    except ValueError as error:
        raise CommandError(f"{parameter} is {file}, which cannot be used: {error}. Name another file.") from error
    _check(parameter, file.name, shapes, job)


def check_companion_beginning(parameter: str, title: str, job: Job, beginning: Beginning) -> None:
    """The same of a file far away, by its header. Passes where it has none, or cannot be read from here."""
    try:
        entries, _ = header_in(beginning)
        shapes = {name: entry.shape for name, entry in entries.items()}
    except UNREADABLE as error:
        logger.info("%s cannot be looked into from here: %s", title, error)
        return
    _check(parameter, title, shapes, job)


def _check(parameter: str, title: str, shapes: Mapping[str, tuple[int, ...]], job: Job) -> None:
    from userdata.worker.model.embeddings import check_embedding_shapes
    from userdata.worker.model.vae_file import check_vae_names

    try:
        if parameter == VAE:
            check_vae_names(title, shapes)
        else:
            check_embedding_shapes(title, shapes, _widths(job))
    except RunError as error:
        raise CommandError(str(error)) from error


def _widths(job: Job) -> tuple[int, ...] | None:
    """The widths of the text encoders of the job's model; None for a checkpoint of one's own."""
    model = find_model(job.model)
    own = BUNDLE.models / model.name
    folder = own if not model.is_own and own.is_dir() else BUNDLE.models / (model.layout or "none")
    files = sorted(folder.glob("text_encoder*/config.json"))
    return tuple(json.loads(file.read_text("utf-8"))["hidden_size"] for file in files) or None
