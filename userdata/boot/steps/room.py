"""Checks that the disk holds what is fetched and built side by side, before either begins."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Iterator, Optional

from userdata.boot.fetch.download import part_of
from userdata.boot.machine.disk_space import amount
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.built_environment import NAME
from userdata.boot.steps.machine import Machine
from userdata.contract.catalogue import find_model, safety_checker

# What the built environment takes (docs/cost.md). Building takes more for a while, which its own step tells.
ENVIRONMENT_BYTES = 5_200_000_000


def check_room(machine: Machine, *, found: Optional[Path]) -> None:
    """Raises `StepError` unless the disk has room for the environment and the catalogue's weights together.

    Each file is checked once more when it comes, but then the other has begun. `found` is the interpreter that is there
    already. The sizes of files of somebody's own are not known here.
    """
    environment = 0 if found or _is_begun(machine) else ENVIRONMENT_BYTES
    weights = sum(_missing_weights(machine))
    free = shutil.disk_usage(machine.folders.root).free
    if weights and free < environment + weights:
        both = "the environment and the weights need" if environment else "the weights need"
        raise StepError(
            f"The disk has {amount(free)} free, but {both} {amount(environment + weights)}. Deploy again with a larger "
            "VolumeSize."
        )


def _is_begun(machine: Machine) -> bool:
    """Whether another interpreter serves, or an unfinished environment makes room for the new one."""
    return bool(machine.settings.get("SD_PYTHON")) or (machine.folders.conda / "envs" / NAME).exists()


def _missing_weights(machine: Machine) -> Iterator[int]:
    """The bytes that each of the catalogue's files still needs."""
    try:
        model = find_model(machine.parameters["Model"])
    except KeyError:
        return  # `provide_weights` tells it
    places = model.places(machine.folders.models / model.name)
    if machine.parameters.get("SafetyChecker", "off") != "off" and model.safety_checker:
        places.update(safety_checker().places(machine.folders.models / "safety-checker"))
    for place, file in places.items():
        if not place.exists():
            part = part_of(place)
            # Blocks, because a file that comes in ranges has its full length at once.
            yield max(0, file.expected_bytes - (part.stat().st_blocks * 512 if part.exists() else 0))
