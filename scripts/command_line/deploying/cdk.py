"""Runs the real CDK CLI; what the CLI prints goes to the person."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import boto3

from scripts.command_line.deploying.change_sets import delete_left, new_name
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.session import credentials_of
from scripts.interruption.child_process import run_bound
from scripts.interruption.scratch_folder import scratch_folder
from stacks.facts.usual_stack import USUAL_STACK

ROOT = Path(__file__).parents[3]
# Variables that belong to keys of the person's environment, or that name other keys, or another app.
OTHER_KEYS = (
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_SCOPE",
    "AWS_ACCOUNT_ID",
    "AWS_DEFAULT_PROFILE",
    "CDK_APP",
)


def cdk_deploy(session: boto3.Session, parameters: Mapping[str, str], context: Mapping[str, str]) -> None:
    """`cdk deploy` with these parameters and context values. Raises `CommandError` when the deploy fails."""
    stack = context.get("stack") or USUAL_STACK
    delete_left(session, stack)
    words = ["deploy", stack, "--require-approval", "never", "--change-set-name", new_name()]
    for name, value in parameters.items():
        words += ["--parameters", f"{name}={value}"]
    for name, value in {**context, "stack": stack}.items():
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


def cdk(session: boto3.Session, words: Sequence[str], *, root: Path = ROOT, output: Path | None = None) -> int:
    """Runs the CLI in the session's region, with its keys; returns the exit code. Raises `CommandError` without either.

    The output goes to standard error, so that standard output stays for results. Each call synthesizes into a folder of
    its own, or into `output`, so that two commands at once do not meet, and a checkout of another user is only read.
    Node.js lies beside the Python that runs this command, whether or not that environment is activated. However this
    process ends, the CLI and what it has started end with it; what AWS was told to do by then goes on.
    """
    cli = root / "node_modules/.bin/cdk"
    if not cli.exists():
        raise CommandError(f"The CDK CLI is not installed: there is no {cli}. Install it: {root}/scripts/setup")
    environment = cdk_environment(session, os.environ)
    # An empty profile goes before those that CDK_PROFILE and ~/.cdk.json name, and is none.
    options = ["--profile=", *(["--region", session.region_name] if session.region_name else [])]
    with scratch_folder("sd-cdk-") as folder:
        command = [str(cli), *words, *options, "--output", str(output or folder / "out")]
        # The CLI's own temporary files go there too.
        return run_bound(command, folder=root, environment={**environment, "TMPDIR": str(folder)}, output=2)


def cdk_environment(session: boto3.Session, person_s: Mapping[str, str]) -> dict[str, str]:
    """The person's environment, in which the CLI has the session's keys, and looks for none by rules of its own.

    The CLI and botocore differ in which of two profiles wins, in who asks for an MFA code, and in the region without
    any. AWS_PROFILE stays the session's, because the profile's other settings are obeyed too: `ca_bundle`, endpoints.
    The CLI needs the keys at its start alone, to take the roles of the bootstrap stack, which it has for an hour.
    Rejected: a server of credentials for the CLI, because it asks its config file before such a server.
    """
    keys = credentials_of(session)
    handed = {
        "PATH": f"{Path(sys.executable).parent}:{person_s.get('PATH', os.defpath)}",
        "AWS_PROFILE": session.profile_name,
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_SESSION_TOKEN": keys.token,
        "AWS_REGION": session.region_name,
    }
    others = {name: value for name, value in person_s.items() if name not in OTHER_KEYS and name[:7] != "AMAZON_"}
    return {**others, **{name: value for name, value in handed.items() if value}}
