"""Names a file that is no model at all by its first bytes: what a person has got instead of the one that was meant."""

from __future__ import annotations

import zipfile
from pathlib import Path

LOOKED_AT = 512
_PAGE = "it is a web page, as a server sends it in place of a file that wants a login"
_PACKED = "it is a packed archive: unpack it, and name the checkpoint in it"
_PICTURE = "it is a picture"
# Files that people download by mistake: a server's page for an error or a login, other formats.
MISTAKEN = {
    b"GGUF": "it is a GGUF file, which is a format of other programs",
    b"GGML": "it is a GGML file, which is a format of other programs",
    b"version https://git-lfs": "it is Git LFS's pointer to the checkpoint, not the checkpoint",
    b"<!doctype": _PAGE,
    b"<html": _PAGE,
    b"<?xml": "it is XML, as a server sends it in place of a file that may not be read",
    b"\x1f\x8b": _PACKED,
    b"7z\xbc\xaf": _PACKED,
    b"Rar!": _PACKED,
    b"\x89HDF": "it is an HDF5 file, which is a format of other programs",
    b"\x89PNG": _PICTURE,
    b"\xff\xd8\xff": _PICTURE,
}
ZIP = b"PK\x03\x04"
# Where torch.save puts the pickle in its zip archive, below a folder of any name.
PICKLE_IN_ZIP = "data.pkl"


def mistaken_for(file: Path) -> str | None:
    """What `file` is instead of a model's file, as the reason of a refusal; None when its first bytes do not tell."""
    try:
        with file.open("rb") as content:
            start = content.read(LOOKED_AT).lstrip()
    except OSError:
        return None
    if not start:
        return "it is empty"
    for mark, what in MISTAKEN.items():
        if start[: len(mark)].lower() == mark.lower():
            return what
    if start.startswith(ZIP):
        return _another_archive(file)
    text = start.decode("utf-8", "replace")
    if text.isprintable() or text.replace("\n", " ").replace("\t", " ").replace("\r", " ").isprintable():
        kind = "JSON" if text[0] in "{[" else "a text"
        return f"it is {kind}, as a server sends it in place of a file: {' '.join(text.split())[:80]}"
    return None


def _another_archive(file: Path) -> str | None:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):  # the last for later kinds of archives
        return None
    if any(name.rsplit("/", 1)[-1] == PICKLE_IN_ZIP for name in names):
        return None
    return f"it is a zip archive, but no file of torch.save: unpack it, and name the checkpoint in it ({_some(names)})"


def _some(names: list[str]) -> str:
    return ", ".join(name[:40] for name in names[:3]) if names else "it is empty"
