"""What the machine tells the worker: the variables of the boot's `worker.env` and `model.env`, and systemd's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from userdata.bill.prices import LifeCycle
from userdata.job.run_error import RunError


class Settings(BaseModel):
    """The machine and its places. `device` is `cpu` where no GPU is meant to be, else None."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    bucket: str = Field(alias="SD_BUCKET", min_length=1)
    instance_id: str = Field(alias="SD_INSTANCE_ID", min_length=1)
    instance_type: str = Field(alias="SD_INSTANCE_TYPE", min_length=1)
    region: str = Field(alias="AWS_DEFAULT_REGION", min_length=1)
    model_folder: Path = Field(alias="SD_MODEL_FOLDER")
    life_cycle: LifeCycle = Field("on-demand", alias="SD_LIFE_CYCLE")
    lora_file: Path | None = Field(None, alias="SD_LORA_FILE")
    safety_checker: Path | None = Field(None, alias="SD_SAFETY_CHECKER")
    compiled: Path | None = Field(None, alias="SD_COMPILED")
    compvis_repository: Path | None = Field(None, alias="SD_COMPVIS_REPOSITORY")
    compvis_python: Path | None = Field(None, alias="SD_COMPVIS_PYTHON")
    boot_started_at: datetime = Field(alias="SD_BOOT_STARTED_AT")
    device: Literal["cpu"] | None = Field(None, alias="SD_DEVICE")
    state_directory: Path = Field(alias="STATE_DIRECTORY")


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Reads the settings. Raises `RunError` that names each variable that is missing or wrong."""
    given = {name: value for name, value in environment.items() if value}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        found = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors(include_url=False))
        raise RunError(
            f"The worker's environment is not as the boot writes it ({found}). Start the instance again, or set "
            "these variables when you start the worker by hand."
        ) from error
