"""The machine that a boot gives to its steps, as a test wants it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from userdata.boot.fetch.cache import Cache
from userdata.boot.machine.instance_metadata import Instance
from userdata.boot.steps.machine import Machine
from userdata.contract.layout import Folders

INSTANCE = Instance("i-0123456789abcdef0", "g5.xlarge", "us-east-1", "on-demand")


def given_machine(
    folder: Path,
    settings: Mapping[str, str] | None = None,
    parameters: Mapping[str, str] | None = None,
    cache: Cache | None = None,
) -> Machine:
    """A g5.xlarge with everything below `folder`."""
    return Machine(Folders(str(folder)), settings or {}, parameters or {}, INSTANCE, cache)
