"""Who asks AWS: the account and the region in which a command looks and acts."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.terminal.command_error import aws_errors_in_words
from scripts.command_line.terminal.plain_text import say
from scripts.command_line.terminal.session import credentials_of

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient
    from mypy_boto3_sts.type_defs import GetCallerIdentityResponseTypeDef

# What botocore calls the sources of credentials that are no profile.
SOURCES = {
    "env": "keys in the environment",
    "iam-role": "this instance's role",
    "container-role": "this container's role",
}


def find_account(session: boto3.Session) -> str:
    """The number of the account. Raises `CommandError` without credentials that AWS accepts, and without a region."""
    return _caller(session)["Account"]


def find_caller(session: boto3.Session) -> str:
    """The ARN of whoever asks, which says later who asked. Raises as `find_account` does."""
    return _caller(session)["Arn"]


def _caller(session: boto3.Session) -> GetCallerIdentityResponseTypeDef:
    credentials_of(session)
    with aws_errors_in_words("ask AWS who you are"):
        if not session.region_name:
            raise botocore.exceptions.NoRegionError
        client: STSClient = session.client("sts", config=RETRIES)
        return client.get_caller_identity()


def profile_option(session: boto3.Session) -> str:
    """The words with which another command takes the same credentials; none where it does without them."""
    credentials = session.get_credentials()
    by_itself = session.profile_name == "default" or (credentials and credentials.method in SOURCES)
    return "" if by_itself else f" --profile {shlex.quote(session.profile_name)}"


def tell_identity(session: boto3.Session, stack: str | None) -> None:
    """Says on standard error where the command is about to act, and with whose credentials. Raises `CommandError`."""
    account = find_account(session)
    credentials = session.get_credentials()
    source = SOURCES.get(credentials.method if credentials else "", f"profile {session.profile_name}")
    place = f", stack {stack}" if stack else ""
    say(f"Account {account} ({source}), region {session.region_name}{place}.", err=True)
