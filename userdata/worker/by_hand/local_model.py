"""Finds the model for drawing by hand, on an instance or on any other machine."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from userdata.contract.catalogue import OFF, find_model
from userdata.contract.environment_file import read_environment_file
from userdata.contract.layout import Folders
from userdata.contract.parameter_file import read_parameters
from userdata.contract.worker_environment import ModelEnvironment
from userdata.job.run_error import RunError
from userdata.worker.model.device import choose_device
from userdata.worker.model.pipeline import LAYOUTS, load_pipeline

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LocalModel:
    """A model on this machine: a folder, or one checkpoint. `name` is the catalogue's, None for any other model.

    `layout` is the folder of `userdata/models/` for a checkpoint, None to find out. `safety_checker` is the file of the
    safety checker's weights, None when this machine has none.
    """

    place: Path
    name: str | None
    layout: str | None
    safety_checker: Path | None = None

    def load(
        self,
        *,
        from_image: bool,
        precision: str,
        prediction: str = "auto",
        vae: Path | None = None,
        embeddings: Mapping[str, Path] | None = None,
        kept: str = OFF,
    ) -> DiffusionPipeline:
        """The loaded model, on the GPU if this machine has one; see `load_pipeline`. Raises `RunError`."""
        device = choose_device(None if torch.cuda.is_available() else "cpu")
        return load_pipeline(
            self.place,
            layout=self.layout,
            device=device,
            from_image=from_image,
            precision=precision,
            prediction=prediction,
            vae=vae,
            embeddings=embeddings,
            kept=kept,
            loras=find_model(self.name).lora_places(self.place) if self.name else [],
        )


def find_local_model(given: str) -> LocalModel:
    """The model that `given` names: a checkpoint, a folder, or a model that needs no download by its catalogue's name.

    Empty names the model that the boot has put on this instance. Raises `RunError` when there is no such model.
    """
    if not given:
        return _of_this_instance()
    place = Path(given)
    try:
        if place.exists():  # whatever it is, its content tells
            return LocalModel(place, None, None)
    except OSError as error:
        raise RunError(f"The model {given[:80]} cannot be looked for: {error.strerror}. Name another.") from error
    try:
        model = find_model(given)
    except KeyError:
        raise RunError(
            f"There is no model {given}: it must be a folder, the file of a checkpoint, or demo, the model in the box."
        ) from None
    if model.bundled_sha256:
        return LocalModel(LAYOUTS / given, given, model.layout)
    if model.is_noise:
        return LocalModel(_made_here(given), given, model.layout)
    here = Folders().models / given
    if here.exists():
        boots = _boots_model()
        return LocalModel(here, given, model.layout, boots.safety_checker if boots else None)
    raise RunError(f"The model {given} is not on this machine. Name the folder or the file with its weights instead.")


def _made_here(name: str) -> Path:
    """A model of random weights, made at its first use. Raises `RunError` for a person without a home."""
    from userdata.worker.model.tiny_model import make_tiny_model

    try:
        folder = Path.home() / ".cache" / "sd-on-ec2" / "models" / name
        make_tiny_model(folder)
    except (OSError, RuntimeError) as error:  # the second by Python, for a user without a name and without HOME
        raise RunError(
            f"The model {name} is made at its first use, but your home directory does not take it ({error}). Set HOME "
            "to a folder of yours."
        ) from error
    return folder


def _of_this_instance() -> LocalModel:
    boots = _boots_model()
    if boots is None:
        raise RunError(
            "This machine has no model of a deploy. Name one: a folder, a checkpoint, or demo, the model in the box."
        )
    name = read_parameters(Folders().parameters)["Model"]
    return LocalModel(boots.model_folder, name, find_model(name).layout, boots.safety_checker)


def _boots_model() -> ModelEnvironment | None:
    """What the boot has handed over to the worker; None on a machine that is no instance of ours."""
    try:
        return ModelEnvironment.read(read_environment_file(Folders().model_environment))
    except ValueError:
        return None
