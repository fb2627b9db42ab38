"""Fetches weights, the catalogue's and a person's own, from the cache or from their source."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Optional

from userdata.boot.fetch.download import download, part_of, read_stamp, write_stamp
from userdata.boot.fetch.hub import pin_hub_file
from userdata.boot.fetch.request import Manner, Pinned
from userdata.boot.steps.machine import Machine
from userdata.boot.steps.own_file import own_place, provide_own_file
from userdata.boot.steps.secret import read_secret
from userdata.contract.catalogue import HUB, File, Model
from userdata.contract.layout import CACHE

logger = logging.getLogger(__name__)


class Places:
    """Where `Downloads` puts files, for root, who fetches none and believes nothing of whoever does."""

    def listed(self, model: Model, file: File, place: Path) -> Path:
        """Where one of the catalogue's files is to be."""
        return place

    def own(self, reference: str, folder: Path) -> Path:
        """Where the file that `reference` names is to be."""
        return own_place(reference, folder)


class Downloads(Places):
    """Fetches weights with the machine's cache, its mirror of the hub, and the rights of the hub's token.

    The machine's setting `SD_WEIGHTS_URL` names a mirror. The parameter `HubToken` is the name of a parameter of
    Parameter Store, or empty; the token is read when a file is fetched, once, and never kept.
    """

    def __init__(self, machine: Machine, *, manner: Optional[Manner] = None) -> None:
        self.hub = (machine.settings.get("SD_WEIGHTS_URL") or HUB).rstrip("/")
        self._token_name = machine.parameters.get("HubToken", "")
        self._token: Optional[str] = None
        self._cache = machine.cache
        self._manner = manner

    def token(self) -> Optional[str]:
        """The hub's token, or None where none is named. Raises `StepError` when it cannot be read."""
        if self._token is None and self._token_name:
            self._token = read_secret(self._token_name)
        return self._token

    def listed(self, model: Model, file: File, place: Path) -> Path:
        """One of the catalogue's files, at `place`. Raises `StepError`."""
        pinned = self._pinned(model, file, place)
        key = f"{CACHE}weights/{pinned.sha256}/{place.name}"
        # A download that has begun goes on.
        untouched = not place.exists() and not part_of(place).exists()
        if self._cache and untouched and self._cache.take_file(key, place, sha256=pinned.sha256):
            write_stamp(place, pinned.sha256)
        download(pinned, place, self._manner)
        if self._cache:
            self._cache.has(key, place, built_from={})
        return place

    def _pinned(self, model: Model, file: File, place: Path) -> Pinned:
        """The file by its SHA-256: the catalogue's, or else the one that the hub told when the file was fetched."""
        token = self.token() if model.gated and not place.exists() else None
        sha256 = file.sha256 or (read_stamp(place) if place.exists() else None)
        if sha256:
            url = self.hub + model.url(file)[len(HUB) :]
            return Pinned(url=url, sha256=sha256, bytes=file.bytes, page=model.page, token=token)
        repository, revision = file.repository or model.repository, file.revision or model.revision
        assert repository
        pinned = pin_hub_file(
            repository=repository, revision=revision, path=file.path, token=token, manner=self._manner, hub=self.hub
        )
        logger.info("%s has the SHA-256 %s, by the hub's own word", pinned.url, pinned.sha256)
        return pinned

    def own(self, reference: str, folder: Path) -> Path:
        """The file that `reference` names, in `folder`; see `provide_own_file`. Raises `StepError`."""
        return provide_own_file(
            reference, folder, hub=self.hub, token=self.token, cache=self._cache, manner=self._manner
        )
