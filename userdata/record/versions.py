"""The versions of the libraries that draw the images, read from their metadata, so that nothing heavy is imported."""

from __future__ import annotations

import platform
from importlib.metadata import version

LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "pillow")


def library_versions() -> dict[str, str]:
    """The versions of Python and of every library that may change a pixel."""
    return {"python": platform.python_version(), **{library: version(library) for library in LIBRARIES}}
