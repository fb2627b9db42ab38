"""`sd compare`: what differs between two runs or images, in words and in pixels."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageChops
from rich.console import Console
from rich.table import Table

from scripts.command_line.documents.runs import CompareDocument, Difference, PictureDifference
from scripts.command_line.results.subjects import Subject
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.plain_text import cell, print_plain
from userdata.job.picture_file import opened_picture

# Pairs of pictures whose pixels are compared: each is fetched and decoded.
MOST_PAIRS = 100
WIDTH = 80


def compare(first: Subject, second: Subject, *, with_images: bool) -> CompareDocument:
    """What differs. `with_images` compares the pictures that both have, by their names, pixel by pixel."""
    names = [*dict.fromkeys([*first.facts, *second.facts])]
    differ = [
        Difference(field=name, values=(first.facts.get(name), second.facts.get(name)))
        for name in names
        if first.facts.get(name) != second.facts.get(name)
    ]
    shared = [name for name in first.pictures if name in second.pictures] if with_images else []
    troubles = [*first.troubles, *second.troubles]
    if len(shared) > MOST_PAIRS:
        troubles.append(f"Of {len(shared):,} pairs of images the first {MOST_PAIRS} are compared.")
    return CompareDocument(
        subjects=(first.name, second.name),
        alike=len(names) - len(differ),
        differ=differ,
        images=[_pictures(name, first, second, troubles) for name in shared[:MOST_PAIRS]],
        troubles=troubles,
    )


def _pictures(name: str, first: Subject, second: Subject, troubles: list[str]) -> PictureDifference:
    found = [_picture(name, subject, troubles) for subject in (first, second)]
    sizes = [f"{one.width}x{one.height}" if one else None for one in found]
    one, other = found
    share = largest = None
    if one and other and one.size == other.size:
        bands = ImageChops.difference(one, other).split()
        worst = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
        counts = worst.histogram()
        share = counts[0] / sum(counts)
        largest = max((value for value, count in enumerate(counts) if count), default=0)
    return PictureDifference(name=name, sizes=(sizes[0], sizes[1]), equal_share=share, largest_difference=largest)


def _picture(name: str, subject: Subject, troubles: list[str]) -> Image.Image | None:
    """The picture in RGB; None, and a word of trouble, for one that cannot be read."""
    try:
        with opened_picture(subject.pictures[name](), ("PNG",)) as picture:
            return picture.convert("RGB")
    except (CommandError, OSError, ValueError) as error:
        troubles.append(f"{subject.name}: {name} cannot be read ({str(error).rstrip('.')}), and is left out.")
        return None


def show_comparison(found: CompareDocument, console: Console) -> None:
    """Prints a table of what differs in 80 columns, and below it the pictures and what could not be read."""
    if found.differ:
        table = Table(box=None, pad_edge=False, width=WIDTH)
        for title in ("", *found.subjects):
            table.add_column(cell(title), overflow="fold")
        for row in found.differ:
            table.add_row(cell(row.field), *(cell("-" if value is None else value) for value in row.values))
        console.print(table)
    print_plain(f"{found.alike} values are alike; {len(found.differ)} differ.", console)
    for line in _picture_lines(found.images):
        print_plain(line, console)
    for trouble in found.troubles:
        print_plain(trouble, console, soft_wrap=True)


def _picture_lines(images: Sequence[PictureDifference]) -> list[str]:
    lines = []
    for one in images:
        if one.equal_share is None or one.largest_difference is None:
            sizes = " and ".join(size or "unreadable" for size in one.sizes)
            lines.append(f"{one.name}: {sizes}, so that no pixels are compared.")
        elif not one.largest_difference:
            lines.append(f"{one.name}: {one.sizes[0]}, every pixel is equal.")
        else:
            # Rounded down, because 100% would say that all are equal.
            share = int(one.equal_share * 10_000) / 100
            lines.append(
                f"{one.name}: {one.sizes[0]}, {share:g}% of the pixels are equal; "
                f"the largest difference is {one.largest_difference} of 255."
            )
    return lines
