"""The three commands that a person may want next, filled in."""

from __future__ import annotations

import sys

from rich.console import Console

from scripts.command_line.batches.progress import Progress
from scripts.command_line.terminal.plain_text import print_plain
from scripts.command_line.terminal.typed_options import with_typed


def next_commands(progress: Progress) -> tuple[str, str, str]:
    """Three commands, the likeliest first, by the batch's state."""
    run = progress.run_id
    resume, cancel = f"sd resume {run}", f"sd cancel {run}"
    if progress.counts.failed and progress.state == "done":
        return f"sd retry {run}", f"sd results {run}", "sd results --list"
    if progress.state == "done":
        return f"sd results {run} --zip --csv", "sd results --list", "sd stop"
    if progress.state == "paused":
        return resume, f"sd results {run}", cancel
    if progress.state == "cancelled":
        return f"sd results {run}", "sd results --list", "sd stop"
    if progress.state == "capped":
        return f"sd resume {run} --max-usd {more_usd(progress):g}", f"sd results {run}", cancel
    if progress.state == "stuck":
        return resume, "sd status", cancel
    return f"sd watch {run}", f"sd pause {run}", cancel


def more_usd(progress: Progress) -> float:
    """A limit with which a capped batch goes on: what is left costs as much an image as what is drawn."""
    drawn = max(progress.images_done, 1)
    whole = progress.usd_at_most * progress.batch.images / drawn
    return max(round(whole * 1.2, 2), round(progress.usd_at_most + 1, 2))


def print_next(progress: Progress, console: Console) -> None:
    """Prints the three, with the options of where and as whom that were typed."""
    print_plain("What next:", console)
    for command in next_commands(progress):
        print_plain(f"  {with_typed(command, sys.argv[1:])}", console, soft_wrap=True)
