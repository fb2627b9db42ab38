"""The models that can be asked for by name. Standard library only: the boot fetches weights from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

CATALOGUE = Path(__file__).parent.parent / "models.json"


@dataclass(frozen=True)
class Source:
    """One file to download: where it lies, its size in bytes and its SHA-256 in hexadecimal."""

    url: str
    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Model:
    """One entry of the catalogue. `source` is None for weights that are made on the machine or come with the bundle.

    `bundled_sha256` is set for a model whose files are in the bundle, in `userdata/models/<name>/`: the SHA-256 over
    all of them, in hexadecimal, as `userdata.boot.bundled_model.folder_sha256` takes it.
    `native_size` is the edge, in pixels, of the images that the model was trained on; `page` is where a person reads
    and accepts the licence.
    """

    name: str
    title: str
    layout: str
    source: Optional[Source]
    page: Optional[str]
    licence: str
    native_size: int
    bundled_sha256: Optional[str] = None


def read_catalogue(path: Path = CATALOGUE) -> dict[str, Model]:
    """Every model by its name, in the order of the file."""
    entries = json.loads(path.read_text("utf-8"))
    return {
        name: Model(name=name, **{**entry, "source": Source(**entry["source"]) if entry["source"] else None})
        for name, entry in entries.items()
    }
