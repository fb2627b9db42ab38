"""Options that every command shares: which stack, in which region, with whose credentials."""

from __future__ import annotations

from typing import Annotated

import boto3
import botocore.exceptions
import typer

from scripts.command_line.terminal.command_error import CommandError

Stack = Annotated[str, typer.Option(help="The CloudFormation stack.")]
Region = Annotated[str | None, typer.Option(help="The AWS region; default: as `aws configure` says.")]
Profile = Annotated[str | None, typer.Option(help="The AWS profile.")]
Context = Annotated[
    list[str], typer.Option("--context", "-c", metavar="NAME=VALUE", help="A setting, as for `cdk deploy`.")
]
STACK = "SdOnEc2"


def open_session(region: str | None, profile: str | None) -> boto3.Session:
    """A session with that region and profile, or the person's own. Raises `CommandError` for an unknown profile."""
    try:
        return boto3.Session(region_name=region, profile_name=profile)
    except botocore.exceptions.ProfileNotFound as error:
        raise CommandError(f"{error}. See `aws configure list-profiles`.") from error
