"""Provides a file that the job names by its place: on the Hugging Face hub, or in S3.

A note beside the file says what was fetched. A file of the hub is fetched once, so that a later prompt neither needs
the hub nor draws with another model. An object of S3 belongs to a person, who may replace it: it is then fetched again.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.cache import Cache
from userdata.boot.fetch.download import download, part_of, write_stamp
from userdata.boot.fetch.hub import pin_hub_file
from userdata.boot.fetch.request import Manner
from userdata.boot.machine.step_error import StepError
from userdata.contract.atomic_file import put_in_place, write_atomically
from userdata.contract.catalogue import S3, hub_parts
from userdata.contract.layout import CACHE
from userdata.contract.outside import read_json

logger = logging.getLogger(__name__)
NOTE = "origin.json"


def own_place(reference: str, folder: Path) -> Path:
    """Where `provide_own_file` puts the file."""
    return folder / reference.rsplit("/", 1)[-1]


def provide_own_file(
    reference: str,
    folder: Path,
    *,
    hub: str,
    token: Callable[[], Optional[str]],
    cache: Optional[Cache],
    manner: Optional[Manner] = None,
) -> Path:
    """The file that `reference` names, `hf:owner/name[@revision]/path` or `s3://bucket/key`, in `folder`.

    `token` is asked for only when the hub is. Raises `StepError`.
    """
    file = own_place(reference, folder)
    try:
        note: Dict[str, Any] = read_json((folder / NOTE).read_bytes())
    except (OSError, ValueError):
        note = {}
    if reference.startswith(S3):
        return _from_s3(reference, file, note, manner)
    if note.get("reference") == reference and file.exists():
        logger.info("%s is already there, from commit %s", reference, note.get("commit"))
        return file
    return _from_hub(reference, file, hub, token(), cache, manner)


def _from_hub(
    reference: str, file: Path, hub: str, token: Optional[str], cache: Optional[Cache], manner: Optional[Manner]
) -> Path:
    repository, revision, path = hub_parts(reference)
    pinned = pin_hub_file(repository=repository, revision=revision, path=path, token=token, manner=manner, hub=hub)
    logger.info("%s has the SHA-256 %s, by the hub's own word", pinned.url, pinned.sha256)
    key = f"{CACHE}weights/{pinned.sha256}/{file.name}"
    if cache and not file.exists() and not part_of(file).exists() and cache.take_file(key, file, sha256=pinned.sha256):
        write_stamp(file, pinned.sha256)
    download(pinned, file, manner)
    if cache:
        cache.has(key, file, built_from={"reference": reference, "url": pinned.url})
    commit = pinned.url.partition("/resolve/")[2].partition("/")[0]
    _write(file.parent / NOTE, {"reference": reference, "commit": commit, "sha256": pinned.sha256})
    return file


def _from_s3(reference: str, file: Path, note: Mapping[str, Any], manner: Optional[Manner]) -> Path:
    name, _, key = reference[len(S3) :].partition("/")
    bucket = Bucket(name)
    head = bucket.head(key)
    if head is None:
        raise StepError(f"There is no object {reference}. Upload it, or correct the name, and deploy again.")
    if note.get("etag") == head["ETag"] and file.exists() and file.stat().st_size == head["ContentLength"]:
        logger.info("%s is already there", reference)
        return file
    part = part_of(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    needed = head["ContentLength"] + (manner or Manner()).margin_bytes
    # The command checks what it receives against the object's own checksum and tries parts of it again.
    if not bucket.get_file(key, part, needed=needed) or part.stat().st_size != head["ContentLength"]:
        raise StepError(f"{reference} changed while it was fetched. Start the instance again.")
    put_in_place(part, file)
    _write(file.parent / NOTE, {"reference": reference, "etag": head["ETag"], "bytes": head["ContentLength"]})
    return file


def _write(note: Path, content: Mapping[str, Any]) -> None:
    write_atomically(note, (json.dumps(content, indent=2) + "\n").encode())
