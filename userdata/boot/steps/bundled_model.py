"""Checks that a model in the bundle is whole, and is the one that the catalogue names."""

from __future__ import annotations

import hashlib
from pathlib import Path

from userdata.boot.machine.step_error import StepError


def folder_sha256(folder: Path) -> str:
    """The SHA-256, in hexadecimal, over every file's path below `folder` and content, in the order of the paths.

    A line per file is hashed, `SHA-256 of the content`, two spaces, `path`: what `sha256sum` prints.
    """
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256((folder / file).read_bytes()).hexdigest()}  {file}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_bundled_model(folder: Path, sha256: str) -> None:
    """Raises `StepError` unless `folder` holds exactly the files that `sha256` was taken of."""
    found = folder_sha256(folder)
    if found != sha256:
        raise StepError(
            f"The model in {folder} is not the one that the catalogue names: its SHA-256 is {found}, expected {sha256}."
            " Deploy again from a whole checkout."
        )
