"""Shows pictures in the terminal: by kitty's protocol, by sixel, else as coloured half blocks."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from scripts.command_line.terminal.plain_text import print_plain
from userdata.job.picture_file import opened_picture

# Cells of the terminal, and pixels: a terminal draws no more in so many cells.
WIDTH, MOST_PIXELS = 40, 1024


def show_pictures(paths: Sequence[Path], console: Console) -> None:
    """Shows each above its name; nothing where no person looks.

    A file that is no PNG, or a hostile one, is a line of text.
    """
    if not _is_a_terminal():
        return
    renderable = _renderable()
    for path in paths:
        try:
            with opened_picture(path.read_bytes(), ("PNG",)) as file:
                picture = file.convert("RGB")
            picture.thumbnail((MOST_PIXELS, MOST_PIXELS))
            shown = renderable(picture, width=min(WIDTH, console.width))
            console.print(shown)
        except (OSError, ValueError) as error:
            print_plain(f"{path} cannot be shown: {str(error).rstrip('.')}.", console, soft_wrap=True)
        else:
            print_plain(str(path), console, soft_wrap=True)


def _is_a_terminal() -> bool:
    """Whether both ends are one, which can draw: the question what it speaks is answered on standard input."""
    ends = (sys.__stdin__, sys.__stdout__, sys.stdout)
    if os.environ.get("TERM", "dumb") == "dumb" or not all(end is not None and end.isatty() for end in ends):
        return False
    size = os.get_terminal_size(1)
    return size.columns > 0 and size.lines > 0  # some say that they have none, and the library divides by it


def _renderable() -> Any:
    """What the terminal says that it can show. The import asks it, and waits a tenth of a second for each answer."""
    try:
        from textual_image.renderable import Image
    except Exception:  # noqa: BLE001  # of an answer that makes no sense; the half blocks need none
        from textual_image.renderable.halfcell import Image as HalfBlocks

        return HalfBlocks
    return Image
