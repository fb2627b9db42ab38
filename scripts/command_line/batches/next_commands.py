"""What a person may want to know and to do next: sentences, and three commands, filled in."""

from __future__ import annotations

import sys

from rich.console import Console

from scripts.command_line.account.deployment import Deployment
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
    if progress.state == "interrupted":
        return f"sd results {run}", "sd results --list", "sd teardown"
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


def how_to_raise(progress: Progress) -> str:
    """Why a capped batch does nothing, and the command with a limit with which it goes on."""
    run = progress.run_id
    return (
        f"{run} has reached its limit of ${progress.batch.max_usd or 0:.2f}, and nothing of it is drawn now. Raise the "
        f"limit: `sd resume {run} --max-usd {more_usd(progress):g}`."
    )


def what_it_saves(progress: Progress, deployment: Deployment) -> str:
    """What the machines cost that have no more to do, and when they go."""
    if not progress.live:
        return "No machine is at work on it, so that nothing more is saved."
    minutes = deployment.parameters.get("IdleMinutes", "0")
    return (
        f"At work: {progress.live_in_words}. Each goes {minutes} minutes (IdleMinutes) after its last work, and "
        "`sd stop` ends them now."
    )


def print_next(progress: Progress, console: Console) -> None:
    """Prints the three, with the options of where and as whom that were typed."""
    print_plain("What next:", console)
    for command in next_commands(progress):
        print_plain(f"  {with_typed(command, sys.argv[1:])}", console, soft_wrap=True)
