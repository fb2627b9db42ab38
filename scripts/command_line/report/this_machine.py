"""The parts of a report about the machine that asks: versions, and whom it would ask."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform

import botocore.exceptions

from scripts.command_line.report.case import QUICK, Case, Told
from scripts.command_line.terminal.checkout import ROOT, output_of, version_in_words

PACKAGES = ("boto3", "botocore", "aws-cdk-lib", "pydantic", "typer", "torch", "diffusers")


def versions(_: Case) -> Told:
    """What runs here, and in which version. Asks nobody."""
    ours = version_in_words()
    found = {
        "sd-on-ec2": ours,
        "Python": platform.python_version(),
        "CDK CLI": _cdk_version(),
        "Node.js": output_of("node", "--version") or "none",
        "system": platform.platform(),
    }
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "none"
    summary = f"{ours}, Python {found['Python']}, CDK CLI {found['CDK CLI']}, {found['system']}"
    return Told(summary, "\n".join(f"{name}: {version}" for name, version in found.items()))


def account(case: Case) -> Told:
    """Whom this machine asks: the region, and that the credentials work. The account's number is masked."""
    names = sorted(name for name in os.environ if name.startswith(("AWS_", "CDK_")))
    try:
        caller = case.session.client("sts", config=QUICK).get_caller_identity()["Arn"]
    except botocore.exceptions.ClientError as error:
        if "AccessDenied" not in error.response["Error"]["Code"]:
            raise
        caller = "AWS does not say (AccessDenied)"  # and may answer other questions
    region = case.session.region_name
    text = (
        f"region: {region}\nstack: {case.stack}\ncaller: {caller}\n"
        f"of the environment, names alone: {', '.join(names) or 'nothing'}"
    )
    return Told(f"credentials work, region {region}", text)


def _cdk_version() -> str:
    try:
        return str(json.loads((ROOT / "node_modules/aws-cdk/package.json").read_text("utf-8"))["version"])
    except (OSError, ValueError, KeyError):
        return "none"
