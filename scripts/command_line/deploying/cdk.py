"""Runs the real CDK CLI; what it prints goes to the person."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

import boto3

from scripts.command_line.deploying.assembly import ROOT, assembly_options
from scripts.command_line.terminal.command_error import CommandError


def cdk_deploy(session: boto3.Session, parameters: Mapping[str, str], context: Mapping[str, str]) -> None:
    """`cdk deploy` with these parameters and context values. Raises `CommandError` when it fails.

    Its output goes to standard error, so that standard output stays for results.
    """
    words = ["deploy", "--require-approval", "never"]
    for name, value in parameters.items():
        words += ["--parameters", f"{name}={value}"]
    with assembly_options(context) as options:
        if _cdk(session, [*words, *options]):
            raise CommandError(
                "`cdk deploy` failed; the lines above say why. Nothing runs that was not running before."
            )


def cdk_destroy(session: boto3.Session, stack: str) -> None:
    """`cdk destroy` of the stack, without a question. Raises `CommandError` when it fails."""
    with assembly_options({}) as options:
        if _cdk(session, ["destroy", "--force", stack, *options]):
            raise CommandError(
                f"`cdk destroy` of {stack} failed; the lines above say why. Try it again: `sd teardown`. What is left "
                "is listed above."
            )


def _cdk(session: boto3.Session, words: list[str]) -> int:
    """Runs the CLI in the session's region, with its profile; the exit code."""
    command = [str(ROOT / "node_modules/.bin/cdk"), *words]
    if session.profile_name != "default":
        command += ["--profile", session.profile_name]
    environment = {**os.environ, **({"AWS_REGION": session.region_name} if session.region_name else {})}
    return subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=2, check=False
    ).returncode
