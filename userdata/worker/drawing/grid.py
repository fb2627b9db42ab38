"""The grid of a run: all its images in one picture, laid out as by torchvision.utils.make_grid in the original."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TypedDict

from PIL import Image

from userdata.contract.atomic_file import write_atomically
from userdata.job.image_request import ImageRequest
from userdata.job.job import Job

PADDING = 2
# Common viewers, Pillow among them, refuse to open a larger picture, and the machine's memory might not hold it.
MOST_PIXELS = 178_000_000

logger = logging.getLogger(__name__)


class GridLayout(TypedDict):
    """The number of images, how many are in a row, and the width and height of the largest images in pixels."""

    count: int
    columns: int
    cell: tuple[int, int]


def write_grid(file: Path, images: Iterable[Image.Image], job: Job, requests: Sequence[ImageRequest]) -> bool:
    """Writes the grid of `images`, those of `requests` in their order, as a PNG; False where `make_grid` makes none."""
    grid = make_grid(images, **grid_layout(job, requests))
    if grid is None:
        return False
    content = io.BytesIO()
    grid.save(content, format="PNG")
    write_atomically(file, content.getvalue())
    return True


def grid_layout(job: Job, requests: Sequence[ImageRequest]) -> GridLayout:
    """The layout of the images of `requests` in the grid of `job`."""
    widths, heights = zip(*(request.size for request in requests), strict=True)
    cell = (max(widths), max(heights))
    return GridLayout(count=len(requests), columns=job.n_rows or job.n_samples, cell=cell)


def make_grid(images: Iterable[Image.Image], *, count: int, columns: int, cell: tuple[int, int]) -> Image.Image | None:
    """The grid of `count` images, `columns` in a row, two black pixels around each.

    `cell` is the width and the height of the largest images; a smaller image lies in the middle of its cell. Rejected:
    scaling the smaller image, which would show pixels that are in no image.

    A single image is its own grid, without a border, as in torchvision. Returns None, and says so in the log, for a
    grid of more than `MOST_PIXELS` pixels. Reads one of `images` at a time.
    """
    remaining = iter(images)
    first = next(remaining)
    if count == 1:
        return first
    size = grid_size(count=count, columns=columns, cell=cell)
    if size[0] * size[1] > MOST_PIXELS:
        logger.warning("No grid: with %d images it would be %d × %d pixels, too large to open", count, *size)
        return None
    columns = min(columns, count)
    width, height = cell[0] + PADDING, cell[1] + PADDING
    grid = Image.new("RGB", size)
    for index, image in enumerate(chain([first], remaining)):
        row, column = divmod(index, columns)
        middle = (cell[0] - image.width) // 2, (cell[1] - image.height) // 2
        grid.paste(image, (column * width + PADDING + middle[0], row * height + PADDING + middle[1]))
    return grid


def grid_size(*, count: int, columns: int, cell: tuple[int, int]) -> tuple[int, int]:
    """Width and height in pixels of the grid that `make_grid` makes, or refuses to make."""
    if count == 1:
        return cell
    columns = min(columns, count)
    rows = -(-count // columns)
    return columns * (cell[0] + PADDING) + PADDING, rows * (cell[1] + PADDING) + PADDING
