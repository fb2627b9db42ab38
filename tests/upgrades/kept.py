"""Reads what `tests.upgrades.keep` has kept of an earlier version."""

from __future__ import annotations

import functools
import io
import json
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.upgrades import keep

FOLDER = Path(__file__).parent
# The name of each version that is kept; a release's is its number.
NAMES = sorted(path.name.removesuffix(".tar.xz") for path in FOLDER.glob("*.tar.xz"))


@dataclass(frozen=True)
class Kept:
    """A version: its template, the parameters that it was deployed with, its bucket's objects, its bundle's files.

    `others` are its templates by the names of other settings, those of scripts/audited.json.
    """

    template: dict[str, Any]
    parameters: dict[str, str]
    objects: dict[str, bytes]
    bundle: dict[str, bytes]
    others: dict[str, dict[str, Any]]

    @property
    def finished(self) -> str:
        """The name of the run that is done."""
        return keep.run_of(self.objects, keep.FINISHED)

    @property
    def unfinished(self) -> str:
        """The name of the run whose last image is missing; its job is the deployed one."""
        return keep.run_of(self.objects, keep.UNFINISHED)

    @property
    def bundle_key(self) -> str:
        """The key in the bucket of the CDK's assets at which the user data fetches the bundle."""
        text = json.dumps(self.template)
        return text[(at := text.index("key='") + len("key='")) : text.index("'", at)]

    def zipped_bundle(self) -> bytes:
        """The bundle as the CDK publishes it, but without the model in the box."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:
            for name, content in self.bundle.items():
                zipped.writestr(name, content)
        return archive.getvalue()


@functools.cache
def kept(name: str) -> Kept:
    """The version of that name."""
    with tarfile.open(FOLDER / f"{name}.tar.xz") as archive:
        files = {entry.name: file.read() for entry in archive if (file := archive.extractfile(entry))}

    def below(folder: str) -> dict[str, bytes]:
        return {path.removeprefix(folder): content for path, content in files.items() if path.startswith(folder)}

    others = {path.removesuffix(".json"): json.loads(content) for path, content in below("settings/").items()}
    return Kept(**json.loads(files["stack.json"]), objects=below("bucket/"), bundle=below("bundle/"), others=others)
