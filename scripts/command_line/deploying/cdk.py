"""Runs the real CDK CLI; what the CLI prints goes to the person."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import boto3

from scripts.command_line.terminal.command_error import CommandError

ROOT = Path(__file__).parents[3]


def cdk_deploy(session: boto3.Session, parameters: Mapping[str, str], context: Mapping[str, str]) -> None:
    """`cdk deploy` with these parameters and context values. Raises `CommandError` when the deploy fails."""
    words = ["deploy", "--require-approval", "never"]
    for name, value in parameters.items():
        words += ["--parameters", f"{name}={value}"]
    for name, value in context.items():
        words += ["--context", f"{name}={value}"]
    if cdk(session, words):
        raise CommandError("`cdk deploy` failed; the lines above say why. Nothing runs that was not running before.")


def cdk_destroy(session: boto3.Session, stack: str) -> None:
    """`cdk destroy` of the stack, without a question. Raises `CommandError` when the destroy fails."""
    if cdk(session, ["destroy", "--force", "--context", f"stack={stack}", stack]):
        raise CommandError(
            f"`cdk destroy` of {stack} failed; the lines above say why. Try again: `sd teardown`. The table above "
            "shows what is left."
        )


def cdk(session: boto3.Session, words: Sequence[str], *, root: Path = ROOT) -> int:
    """Runs the CLI in the session's region, with its profile; returns the exit code. Raises `CommandError` without one.

    The output goes to standard error, so that standard output stays for results. Each call synthesizes into a folder of
    its own, so that two commands at once do not meet, and a checkout of another user is only read. Node.js lies beside
    the Python that runs this command, whether or not that environment is activated.
    """
    cli = root / "node_modules/.bin/cdk"
    if not cli.exists():
        raise CommandError(f"The CDK CLI is not installed: there is no {cli}. Install it: {root}/scripts/setup")
    if session.profile_name != "default":
        words = [*words, "--profile", session.profile_name]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"}
    if session.region_name:
        environment["AWS_REGION"] = session.region_name
    with tempfile.TemporaryDirectory(prefix="sd-cdk-out-") as folder:
        command = [str(cli), *words, "--output", folder]
        return subprocess.run(
            command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=2, check=False
        ).returncode
