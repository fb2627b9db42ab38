"""The parts of a report about the machine that asks: versions, and whom it would ask."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

import botocore.exceptions

from scripts.command_line.report.case import QUICK, Case, Told

ROOT = Path(__file__).parents[3]
PACKAGES = ("boto3", "botocore", "aws-cdk-lib", "pydantic", "typer", "torch", "diffusers")
SECONDS = 10


def versions(_: Case) -> Told:
    """What runs here, and in which version. Asks nobody."""
    commit = _said("git", "-C", str(ROOT), "log", "-1", "--format=%h of %cs") or "unknown"
    changed = _said("git", "-C", str(ROOT), "status", "--porcelain").splitlines()
    found = {
        "sd-on-ec2": f"{importlib.metadata.version('sd-on-ec2')}, commit {commit}, {len(changed)} changed files",
        "Python": platform.python_version(),
        "CDK CLI": _cdk_version(),
        "Node.js": _said("node", "--version") or "none",
        "system": platform.platform(),
    }
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "none"
    summary = f"commit {commit}, Python {found['Python']}, CDK CLI {found['CDK CLI']}, {found['system']}"
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


def _said(*command: str) -> str:
    """The first words that a command prints; empty where it cannot be run."""
    if not shutil.which(command[0]):
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
