"""A shell on the instance: the command that opens one, by Session Manager or by SSH."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.instance import instance_state
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

PLUGIN = "session-manager-plugin"
PLUGIN_PAGE = (
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html"
)
INSTALL = {"aws": "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html", PLUGIN: PLUGIN_PAGE}


def by_session_manager(session: boto3.Session, deployment: Deployment) -> list[str]:
    """The command that opens a shell by Session Manager. Raises `CommandError` where that cannot be.

    It needs no port of the instance. The shell's user is `ssm-user`, who may use sudo.
    """
    _need_running(session, deployment)
    for program, page in INSTALL.items():
        if not shutil.which(program):
            raise CommandError(f"`sd connect` needs the program {program}, which was not found. Install it: {page}.")
    profile = [] if session.profile_name == "default" else ["--profile", session.profile_name]
    return [
        *("aws", "ssm", "start-session", "--target", deployment.instance_id),
        *("--region", session.region_name, *profile),
    ]


def by_ssh(session: boto3.Session, deployment: Deployment, *, user: str, folder: Path) -> list[str]:
    """The command that opens a shell by SSH, after the stack's private key was written into `folder`, for its owner.

    Raises `CommandError` where no port is open, and where another file has the key's name.
    """
    if not deployment.parameters.get("SshCidr"):
        raise CommandError(
            "No port of the instance is open. `sd connect` without --ssh needs none; `sd deploy --ssh-cidr "
            "203.0.113.7/32`, with your own address, opens port 22 to it."
        )
    _need_running(session, deployment)
    if not shutil.which("ssh"):
        raise CommandError("`sd connect --ssh` needs the program ssh, which was not found. Install OpenSSH's client.")
    ec2 = session.client("ec2", config=RETRIES)
    with aws_errors_in_words("read the address of the instance and its key"):
        described = ec2.describe_instances(InstanceIds=[deployment.instance_id])
        instance: InstanceTypeDef = described["Reservations"][0]["Instances"][0]
        pair = ec2.describe_key_pairs(KeyNames=[instance["KeyName"]])["KeyPairs"][0]["KeyPairId"]
        name = f"/ec2/keypair/{pair}"
        key = session.client("ssm", config=RETRIES).get_parameter(Name=name, WithDecryption=True)
    file = folder / f"sd-on-ec2-{pair}.pem"
    _write_private(file, key["Parameter"]["Value"].rstrip("\n") + "\n")
    # An instance that is replaced has another host key behind another address, which nobody has seen before either.
    options = ["-o", "StrictHostKeyChecking=accept-new", "-o", "IdentitiesOnly=yes"]
    return ["ssh", "-i", str(file), *options, f"{user}@{instance['PublicIpAddress']}"]


def _need_running(session: boto3.Session, deployment: Deployment) -> None:
    state = instance_state(session, deployment).name
    if state != "running":
        raise CommandError(
            f"The instance {deployment.instance_id} is {state}, so it has no shell. `sd start` starts it."
        )


def _write_private(file: Path, text: str) -> None:
    """Writes a file that nobody else can read at any moment; one that has just this text stays."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as opened:
            opened.write(text)
    except FileExistsError:
        file.chmod(0o600)
        if file.read_text("ascii", errors="replace") != text:
            raise CommandError(f"{file} exists, and is not the stack's key. Move it away and try again.") from None
    except OSError as error:
        raise CommandError(
            f"The key cannot be written to {file}: {error.strerror}. Name another folder: --to."
        ) from error
