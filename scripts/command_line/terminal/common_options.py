"""Options that all commands share: which stack, in which region, with whose credentials."""

from __future__ import annotations

import os
from typing import Annotated

import boto3
import botocore.exceptions
import typer

from scripts.command_line.terminal.command_error import CommandError
from stacks.facts.settings import USUAL_STACK, Settings

Stack = Annotated[str, typer.Option(metavar="NAME", help="The CloudFormation stack.")]
Region = Annotated[str | None, typer.Option(metavar="NAME", help="The AWS region; default: as for `aws`.")]
Profile = Annotated[str | None, typer.Option(metavar="NAME", help="The AWS profile.")]
Context = Annotated[
    list[str],
    typer.Option(
        "--context",
        "-c",
        metavar="NAME=VALUE",
        help=f"A setting, as for `cdk deploy`. The settings are {', '.join(Settings.model_fields)}.",
    ),
]
STACK = USUAL_STACK


def open_session(region: str | None, profile: str | None) -> boto3.Session:
    """A session with that region and profile, or the person's own. Raises `CommandError` for an unknown profile.

    botocore knows AWS_DEFAULT_REGION only, but the CDK and version 2 of the AWS CLI obey AWS_REGION first.
    """
    try:
        session = boto3.Session(region_name=region or os.environ.get("AWS_REGION") or None, profile_name=profile)
        # A new session has not looked for its profile where AWS_DATA_PATH is set, which some libraries do.
        if session.profile_name not in ("default", *session.available_profiles):
            raise botocore.exceptions.ProfileNotFound(profile=session.profile_name)
    except botocore.exceptions.ProfileNotFound as error:
        raise CommandError(f"{error}. See `aws configure list-profiles`.") from error
    return session
