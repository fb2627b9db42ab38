"""`sd logs` and `sd connect`: what the machine says, and a shell on it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack
from scripts.command_line.terminal.json_option import Json, print_document
from scripts.command_line.terminal.known_runs import complete_runs
from scripts.command_line.terminal.plain_text import say

# The user of Amazon Linux, which the Deep Learning AMI is made of.
USER = "ec2-user"


def logs(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            autocompletion=complete_runs,
            help="The run, by its name or the beginning of it; default: the deployed one.",
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    as_json: Json = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Print the log of a run. A worker uploads it every 15 seconds, and when the run ends."""
    from scripts.command_line.account.deployment import RETRIES, need_deployment
    from scripts.command_line.account.instance import deployed_run_id
    from scripts.command_line.account.runs import choose_run, read_run
    from scripts.command_line.account.unfinished_runs import ENDED, with_interruptions
    from scripts.command_line.documents.runs import LogDocument
    from scripts.command_line.results.log import show_log
    from scripts.command_line.terminal.session import open_session

    session = open_session(region, profile)
    deployment = need_deployment(session, stack)
    s3 = session.client("s3", config=RETRIES)
    bucket = deployment.bucket
    found = choose_run(s3, bucket, run) if run else read_run(s3, bucket, deployed_run_id(deployment))
    if found.batch:
        raise CommandError(
            f"{found.run_id} is a batch, which many machines may draw, and has no log. `sd watch {found.run_id}` says "
            "what has failed and why."
        )

    def goes_on() -> bool:
        if not follow:
            return False
        (now,) = with_interruptions(session, [read_run(s3, bucket, found.run_id)])
        return now.state not in (*ENDED, "interrupted")

    pieces: list[str] = []
    show_log(s3, bucket, found.run_id, pieces.append if as_json else say, goes_on=goes_on)
    if as_json:
        lines = [line for piece in pieces for line in piece.split("\n")]
        print_document(LogDocument(run_id=found.run_id, lines=lines))


def connect(
    ssh: Annotated[bool, typer.Option("--ssh", help="By SSH, where SshCidr has opened the port for you.")] = False,
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="The user for SSH.")] = USER,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where SSH's key is written.")] = Path("~/.ssh"),
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Open a shell on the instance, by Session Manager, which needs no open port. It keeps the instance up."""
    from scripts.command_line.account.deployment import need_deployment
    from scripts.command_line.account.shell import by_session_manager, by_ssh
    from scripts.command_line.terminal.session import open_session

    session = open_session(region, profile)
    deployment = need_deployment(session, stack)
    if ssh:
        words = by_ssh(session, deployment, user=user, folder=to.expanduser())
    else:
        words = by_session_manager(session, deployment)
    sys.stdout.flush()
    # In this process's place, so that the shell gets the terminal and every signal.
    os.execvp(words[0], words)  # noqa: S606  # the words are ours
