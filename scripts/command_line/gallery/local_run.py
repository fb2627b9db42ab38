"""A run in a folder of results: its images, and the page that is made of what lies there.

Nothing of a page that came from elsewhere is trusted: a shard is read as data, and one that is none is not shown.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.command_line.gallery.thumbnails import make_thumbnails
from userdata.batch.documents import Batch
from userdata.contract.atomic_file import write_atomically
from userdata.contract.layout import MOST_IMAGES, RunKeys
from userdata.contract.outside import read_json
from userdata.page.batch_facts import read_shares, with_shares
from userdata.page.facts import Facts, facts_of_run
from userdata.page.html import run_page
from userdata.page.script import from_script, to_script
from userdata.page.shard import Shard, make_shards
from userdata.record.image_metadata import ImageRecord

SAMPLES = ("txt2img-samples/samples", "img2img-samples/samples")
MOST_BYTES = 64 * 1024 * 1024
# Of an image's record.
MOST_RECORD_BYTES = 4 * 1024 * 1024
# The shards that are made here have six digits: the worker's have five, or the two numbers of a unit.
MADE_HERE = re.compile(r"[0-9]{6}\.js")
SHARD_NAME = re.compile(r"[0-9]{1,6}(-[0-9]{6})?")
NUMBER = re.compile(r"[0-9]{5}")
# Of an image in `names.js`.
KEY = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True)
class LocalRun:
    """A run whose page is written: its facts, the folder of its images, and the first of them."""

    folder: Path
    facts: Facts
    below: str
    first: tuple[int, ...]


def local_runs(root: Path) -> list[Path]:
    """The folders of `root` that hold a run."""
    folders = sorted(one for one in root.iterdir() if one.is_dir()) if root.is_dir() else []
    return [one for one in folders if (one / "page/shards").is_dir() or any((one / name).is_dir() for name in SAMPLES)]


def write_page(folder: Path) -> LocalRun | None:
    """Makes what is missing of the run's page: shards, thumbnails, facts. None for a folder without an image's record.

    Raises `OSError` where the disk takes nothing.
    """
    keys = RunKeys(folder.name)

    def path(key: str) -> Path:
        return folder / key.removeprefix(keys.prefix)

    shards = shards_in(folder)
    told = {image.index for shard in shards.values() for image in shard.images}
    names, untold = _look(folder, told)
    number = max((int(name) for name in shards if MADE_HERE.fullmatch(f"{name}.js")), default=-1)
    for number, shard in enumerate(make_shards(untold), number + 1):  # noqa: B020
        shards[f"{number:06}"] = shard
        write_atomically(path(keys.page_shard(f"{number:06}")), shard.to_script())
    if not any(shard.images for shard in shards.values()):
        return None
    make_thumbnails(folder, shards.values(), names)
    write_atomically(path(keys.page + "names.js"), to_script("names", {"images": names}))
    facts = _facts(folder, shards)
    write_atomically(path(keys.page_facts), facts.to_script())
    write_atomically(path(keys.index), run_page())
    first = sorted(image.index for shard in shards.values() for image in shard.images)[:6]
    return LocalRun(folder, facts, next(iter(shards.values())).folder, tuple(first))


def shards_in(folder: Path) -> dict[str, Shard]:
    """The shards of the run by their names; what is none is passed over."""
    shards: dict[str, Shard] = {}
    for file in sorted((folder / "page/shards").glob("*.js")):
        if SHARD_NAME.fullmatch(file.stem):
            with suppress(ValueError):
                shards[file.stem] = Shard.from_script(read_file(file) or b"")
    return shards


def _look(folder: Path, told: set[int]) -> tuple[dict[int, str], list[ImageRecord]]:
    """The names of the images that have one of their own, and the records of those that no shard tells of.

    An image's record never changes, so that one whose name and number the page knows already is not read again.
    """
    names: dict[int, str] = {}
    known = _names_known(folder)
    untold: dict[int, ImageRecord] = {}
    for file in sorted(file for below in SAMPLES for file in (folder / below).glob("*.json")):
        is_numbered = bool(NUMBER.fullmatch(file.stem))
        number = int(file.stem) if is_numbered else known.get(file.stem)
        if number in told:
            if not is_numbered and number is not None:
                names[number] = file.stem
            continue
        try:
            record = ImageRecord.from_json(read_file(file, most_bytes=MOST_RECORD_BYTES) or b"")
        except ValueError:
            continue
        if not 0 <= record.index < MOST_IMAGES:
            continue
        if not is_numbered:
            names[record.index] = file.stem
        if record.index not in told:
            untold[record.index] = record
    return names, [untold[index] for index in sorted(untold)]


def _names_known(folder: Path) -> dict[str, int]:
    """The numbers of the images by the names that `write_page` has found last time; what is none is passed over."""
    try:
        found = from_script("names", read_file(folder / "page/names.js") or b"").get("images")
    except ValueError:
        return {}
    pairs = found.items() if isinstance(found, dict) else ()
    return {name: int(index) for index, name in pairs if isinstance(name, str) and KEY.fullmatch(index)}


def read_file(file: Path, *, most_bytes: int = MOST_BYTES) -> bytes | None:
    """The file's content; None where it is not there, cannot be read, or is larger than any of ours."""
    try:
        return file.read_bytes() if file.stat().st_size <= most_bytes else None
    except OSError:
        return None


def _facts(folder: Path, shards: dict[str, Shard]) -> Facts:
    """The facts, from the documents that are here; what they do not tell, the images do."""
    every = [(shard, image) for shard in shards.values() for image in shard.images]
    shard, first = min(every, key=lambda one: one[1].index)
    options = {**shard.common, **first.own}
    batch, job, status = _batch(folder), _document(folder / "job.json"), _document(folder / "status.json")
    of_job = str(job.get("from_file", "")).rpartition("/")[2] or str(job.get("prompt") or options.get("Prompt", ""))
    facts = facts_of_run(
        folder.name,
        title=batch.title if batch else of_job,
        model=str(options.get("Model", "")),
        started_at=str(status.get("started_at") or min(image.created_at for _shard, image in every)),
        images=len(every),
        shards=sorted(shards),
        report=read_file(folder / "report.json"),
        gpu=read_file(folder / "gpu.csv"),
    )
    return with_shares(facts, read_shares(read_file(file) or b"" for file in sorted(folder.glob("machines/*.json"))))


def _document(file: Path) -> dict[str, Any]:
    try:
        return read_json(read_file(file) or b"{}")
    except ValueError:
        return {}


def _batch(folder: Path) -> Batch | None:
    try:
        return Batch.from_json(read_file(folder / "batch.json") or b"")
    except ValueError:
        return None
