"""Runs a command, or the person's shell, inside a local cloud. The cloud ends with the command."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress

from scripts.interruption.signals import NUMBERS, Interrupted, end_at_once, raise_interrupted
from scripts.local.local_cloud import LocalCloud, LocalCloudError
from scripts.local.machines.ordinary_user import NoOrdinaryUserError
from stacks.facts.instance_types import INSTANCE_TYPES

PATIENCE = 15.0  # seconds for the command to end by itself after a signal


def main(arguments: list[str] | None = None) -> int:
    """Gives the command's exit code, 128 + N when it or the cloud was ended by signal N, and 2 for misuse."""
    options = _parser().parse_args(arguments)
    command = options.command or [os.environ.get("SHELL", "/bin/sh")]
    raise_interrupted()
    try:
        with LocalCloud(verbose=options.verbose, keep=options.keep, free_plan=options.free_plan) as cloud:
            for name in options.sold_out:
                cloud.capacity.sell_out(name)
            if options.bootstrap:
                cloud.bootstrap()
            try:
                with cloud.clock.following():
                    return _run(command, cloud)
            finally:
                _hold_signals()  # what comes now is the cleaning up
                if options.keep:
                    sys.stderr.write(f"cloud: kept {cloud.scratch}\n")
    except Interrupted as interrupted:
        with suppress(OSError):  # a terminal that was closed takes nothing
            sys.stderr.write("cloud: Interrupted; the emulated account is gone with everything in it.\n")
        return interrupted.exit_status
    except (LocalCloudError, NoOrdinaryUserError) as error:
        sys.stderr.write(f"cloud: {error}\n")
        return 1
    finally:
        end_at_once()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/local/cloud",
        description="Runs COMMAND (by default your shell) in an AWS account emulated on this machine. "
        "When it ends, everything in that account is gone.",
        epilog='example: scripts/local/cloud --bootstrap cdk deploy --parameters Prompt="A horse under a tree"',
    )
    parser.add_argument("--bootstrap", action="store_true", help="run cdk bootstrap first")
    parser.add_argument("--verbose", action="store_true", help="show the cloud's log")
    parser.add_argument(
        "--sold-out", action="append", default=[], choices=INSTANCE_TYPES, metavar="TYPE",
        help="let EC2 have none of this instance type to give, in any zone; may be given several times",
    )  # fmt: skip
    parser.add_argument("--keep", action="store_true", help="keep the scratch folder: machines' disks and cloud.log")
    parser.add_argument("--free-plan", action="store_true", help="an account on AWS's Free Plan: no GPU types")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="a command and its arguments")
    return parser


def _hold_signals() -> None:
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)


def _run(command: list[str], cloud: LocalCloud) -> int:
    command = command[1:] if command[:1] == ["--"] else command
    try:
        process = subprocess.Popen(command, env=cloud.environment)
    except OSError as error:
        raise LocalCloudError(f"{shlex.join(command)} could not be started: {error.strerror}.") from error
    try:
        code = process.wait()
    except Interrupted as interrupted:
        _end(process, interrupted.number)
        raise
    return 128 - code if code < 0 else code


def _end(process: subprocess.Popen[bytes], number: int) -> None:
    """Passes a signal on, once: a terminal sends Ctrl-C to the command as well, which may be ending already."""
    if number != signal.SIGINT or not _ends(process, 1.0):
        process.send_signal(number)
    if not _ends(process, PATIENCE):
        process.kill()
        process.wait()


def _ends(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
