"""The versions of the libraries that draw the images, read from their metadata, so that nothing heavy is imported."""

from __future__ import annotations

import functools
import platform
from importlib.metadata import version

LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "pillow")


@functools.cache
def library_versions() -> dict[str, str]:
    """The versions of Python and of every library that may change a pixel. Read once, because each unit asks."""
    return {"python": platform.python_version(), **{library: version(library) for library in LIBRARIES}}
