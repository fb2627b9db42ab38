"""Watches a batch until nothing happens any more without a person."""

from __future__ import annotations

import time

import boto3
from rich.console import Console
from rich.live import Live

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.batches.around import look_around, looker_of
from scripts.command_line.batches.next_commands import next_commands
from scripts.command_line.batches.progress import AT_REST, Progress
from scripts.command_line.batches.show import display, line
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.plain_text import print_plain
from scripts.interruption.signals import when_interrupted
from userdata.worker.bucket.passing_errors import is_transient

LEAST_SECONDS, MOST_SECONDS = 5.0, 30.0
# A laptop changes its network, or wakes up.
OUT_OF_REACH_SECONDS = 300


def watch_batch(session: boto3.Session, deployment: Deployment, run_id: str, console: Console) -> Progress:
    """Shows how far the batch is until it is at rest, and returns the last look. The batch goes on without this.

    Raises `CommandError` when there is no such batch, and when AWS is out of reach for five minutes.
    """
    looker = looker_of(session, deployment.bucket, run_id)
    last: Progress | None = None
    reached_at = time.monotonic()
    with (
        when_interrupted(lambda: _goes_on(run_id, last)),
        Live(console=console, auto_refresh=False) as live,
    ):
        while True:
            try:
                found = look_around(session, deployment, looker.look())
            except CommandError as error:
                if not is_transient(error.__cause__) or time.monotonic() - reached_at > OUT_OF_REACH_SECONDS:
                    raise
                time.sleep(LEAST_SECONDS)
                continue
            reached_at = time.monotonic()
            if console.is_terminal:
                live.update(display(found), refresh=True)
            elif last is None or (found.counts, found.state, found.trouble) != (last.counts, last.state, last.trouble):
                print_plain(line(found), console, soft_wrap=True)
            last = found
            if found.state in AT_REST:
                return found
            time.sleep(pause_after(found))


def pause_after(progress: Progress) -> float:
    """Seconds until the next look: each takes a request for 1,000 units, and one for each machine that works."""
    return min(MOST_SECONDS, LEAST_SECONDS + progress.batch.units / 1000 + len(progress.live) / 20)


def _goes_on(run_id: str, last: Progress | None) -> str:
    if last is None or last.state in AT_REST:
        return "Interrupted; nothing was changed."
    price = f", on {last.live_in_words}" if last.live else ""
    look, *others = next_commands(last)
    ways = ", ".join(f"`{command}`" for command in others)
    return f"Interrupted, but {run_id} goes on{price}. `{look}` looks again; {ways}."
