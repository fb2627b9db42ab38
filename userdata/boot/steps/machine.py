"""The machine as the boot gives it to each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional

from userdata.boot.fetch.cache import Cache
from userdata.boot.machine.instance_metadata import Instance
from userdata.contract.layout import Folders


@dataclass(frozen=True)
class Machine:
    """The machine that boots. `settings` are the image's (machine.env), `parameters` the deployed ones.

    `cache` is None where Cache is off.
    """

    folders: Folders
    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    instance: Instance
    cache: Optional[Cache]

    @property
    def has_gpu(self) -> bool:
        """False where the image says `SD_DEVICE=cpu`: no GPU is meant to be here."""
        return self.settings.get("SD_DEVICE") != "cpu"
