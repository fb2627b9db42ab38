"""The versions of what draws the images; of libraries from their metadata, so that nothing heavy is imported."""

from __future__ import annotations

import functools
import platform
from importlib.metadata import version

from userdata.contract.version import VERSION

PROJECT = "sd-on-ec2"
LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "pillow")


@functools.cache
def library_versions() -> dict[str, str]:
    """The versions of all that may change a pixel. Read once, because each unit asks."""
    libraries = {library: version(library) for library in LIBRARIES}
    return {PROJECT: VERSION, "python": platform.python_version(), **libraries}
