"""All images of a run as one ZIP, and what is known of them as one CSV, made from the files that were downloaded."""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scripts.command_line.results.written import written_whole
from userdata.job.job import Job
from userdata.record.image_metadata import ImageRecord

# Behind these, a column for each field of the job.
COLUMNS = ("name", "file", "index", "seconds", "flagged", "device", "created_at", "loras")
OF_THE_REQUEST = (
    "prompt", "negative_prompt", "H", "W", "ddim_steps", "scale", "sampler", "strength", "ddim_eta", "loras",
)  # fmt: skip
# A spreadsheet takes a text that begins so for a formula, and may do what it says.
# Source: https://owasp.org/www-community/attacks/CSV_Injection
# Where a semicolon or a tab stands between the columns, as in many countries, a text of one cell becomes many.
FORMULA = re.compile(r"(^|[;\t\r\n])(?=\s*[=+\-@＝＋－＠\t\r])")
MOST_RECORD_BYTES = 4 * 1024 * 1024


def write_zip(path: Path, run_id: str, images: Iterable[Path]) -> int:
    """Puts the images into one ZIP, in a folder named as the run, and returns their number.

    PNGs are compressed already, so they are stored as they are. Raises `CommandError` when the disk takes no more.
    """
    count = 0
    with (
        written_whole(path) as part,
        zipfile.ZipFile(part, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive,
    ):
        for image in images:
            archive.write(image, f"{run_id}/{image.name}")
            count += 1
    return count


def write_csv(path: Path, images: Iterable[Path]) -> tuple[int, int]:
    """Writes a row for each image from the JSON beside it; returns how many, and how many JSONs cannot be read.

    What a spreadsheet would take for a formula in a text has an apostrophe in front. Raises `CommandError`.
    """
    rows = unreadable = 0
    with written_whole(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*COLUMNS, *Job.model_fields], restval="")
        writer.writeheader()
        for image in images:
            row: dict[str, Any] = {"name": image.stem, "file": image.name}
            try:
                row |= _fields(image.with_suffix(".json"))
            except (OSError, ValueError):
                unreadable += 1
            writer.writerow({column: _guarded(value) for column, value in row.items()})
            rows += 1
    return rows, unreadable


def _fields(metadata: Path) -> dict[str, Any]:
    """What the JSON says. What the image was drawn from goes before what the job says of all. Raises `ValueError`."""
    if metadata.stat().st_size > MOST_RECORD_BYTES:
        raise ValueError("it is too large for a record of an image")
    record = ImageRecord.from_json(metadata.read_bytes())
    own: dict[str, Any] = {"seed": record.seed}
    if record.batch:
        request = record.request
        names = (
            "prompt",
            "negative_prompt",
            "H",
            "W",
            "ddim_steps",
            "scale",
            "sampler",
            "strength",
            "ddim_eta",
            "loras",
        )
        own |= {name: getattr(request, name) for name in names}
    job = {name: record.job[name] for name in Job.model_fields if name in record.job}
    return {
        **job,
        **own,
        "index": record.index,
        "seconds": record.seconds,
        "flagged": record.flagged,
        "device": record.drawn_with.device if record.drawn_with else None,
        "created_at": record.created_at,
    }


def _guarded(value: Any) -> Any:
    """Numbers stay numbers, although a negative one begins with a dash."""
    if value is None or isinstance(value, int | float):
        return value
    return FORMULA.sub(r"\1'", str(value))
