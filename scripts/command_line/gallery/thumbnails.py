"""The thumbnails that are missing, made from the images that are here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import track

from userdata.contract.atomic_file import write_atomically
from userdata.contract.image_size import MOST_FILE_BYTES
from userdata.contract.layout import RunKeys
from userdata.page.shard import Shard
from userdata.page.thumbnail import thumbnail_of

# Fewer are made before anybody wonders.
WORTH_A_BAR = 50


def make_thumbnails(folder: Path, shards: Iterable[Shard], names: Mapping[int, str]) -> None:
    """Makes those of the images that are in `folder`. An image that cannot be read has none. Raises `OSError`."""
    keys = RunKeys(folder.name)
    missing = []
    for below, image in ((shard.folder, image) for shard in shards for image in shard.images):
        thumbnail = folder / keys.thumbnail(image.index).removeprefix(keys.prefix)
        picture = folder / below / f"samples/{names.get(image.index, f'{image.index:05}')}.png"
        if not thumbnail.exists() and picture.exists():
            missing.append((picture, thumbnail))

    def make(paths: tuple[Path, Path]) -> None:
        try:
            if paths[0].stat().st_size > MOST_FILE_BYTES:
                return
            content = thumbnail_of(paths[0].read_bytes())
        except (OSError, ValueError):  # also for a folder: whoever may write to the bucket may put one there
            return
        write_atomically(paths[1], content)

    with ThreadPoolExecutor() as pool:
        made = pool.map(make, missing)
        told = "Making thumbnails"
        shown = Console(stderr=True)
        for _one in track(made, told, len(missing), console=shown, transient=True, disable=len(missing) < WORTH_A_BAR):
            pass
