"""Provides the files that a job needs beside its model: its LoRAs, VAE and embeddings, and the safety checker."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Optional

from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.downloads import Places
from userdata.boot.steps.machine import Machine
from userdata.contract.catalogue import S3, find_model, safety_checker
from userdata.contract.companion_files import listed_embeddings
from userdata.contract.layout import INPUTS
from userdata.contract.lora_list import listed_loras
from userdata.contract.worker_environment import Paths

logger = logging.getLogger(__name__)


def provide_loras(machine: Machine, downloads: Places) -> Optional[Paths]:
    """The files of the LoRAs that the job lists, or None. Raises `StepError`."""
    try:
        listed = listed_loras(machine.parameters.get("Lora", ""))
    except ValueError as error:
        raise StepError(f"{error}.") from error
    return Paths(_provide(machine, downloads, lora.place, "lora") for lora in listed) or None


def provide_vae(machine: Machine, downloads: Places) -> Optional[Path]:
    """The file of the job's own VAE, or None. Raises `StepError`."""
    place = machine.parameters.get("Vae", "")
    return _provide(machine, downloads, place, "vae") if place else None


def provide_embeddings(machine: Machine, downloads: Places) -> Optional[Paths]:
    """The files of the embeddings that the job lists, or None. Raises `StepError`."""
    try:
        listed = listed_embeddings(machine.parameters.get("Embeddings", ""))
    except ValueError as error:
        raise StepError(f"{error}.") from error
    return Paths(_provide(machine, downloads, one.place, "embedding") for one in listed) or None


def _provide(machine: Machine, downloads: Places, place: str, kind: str) -> Path:
    if place.startswith(INPUTS):
        place = f"{S3}{machine.parameters['ResultsBucket']}/{place}"
    folder = machine.folders.models / (f"{kind}-" + hashlib.sha256(place.encode()).hexdigest()[:16])
    return downloads.own(place, folder)


def provide_safety_checker(machine: Machine, downloads: Places) -> Optional[Path]:
    """The weights of the safety checker, or None where no image is to be looked at. Raises `StepError`."""
    parameters = machine.parameters
    if parameters.get("SafetyChecker", "off") == "off" or not find_model(parameters["Model"]).safety_checker:
        return None
    checker = safety_checker()
    logger.info("%s, licence %s", checker.title, checker.licence)
    ((place, file),) = checker.places(machine.folders.models / "safety-checker").items()
    return downloads.listed(checker, file, place)
