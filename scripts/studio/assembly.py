"""The stack of the local cloud, from what the CDK has synthesized: the same template and files as a deploy's.

The CDK takes most of a deploy's time for a synthesis whose result follows from the checkout, so that it is kept there.
Rejected: keeping it for deploys to AWS, where seconds do not count, and an old template would cost money.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3

from scripts.command_line.deploying.cdk import ROOT, cdk
from scripts.command_line.terminal.command_error import CommandError
from scripts.interruption.scratch_folder import scratch_folder

PLACE = ROOT / ".cache/assemblies"
# What a synthesis follows from, beside its context: the app, what it imports, and the CDK itself.
SOURCES = ("app.py", "cdk.json", "package-lock.json", "requirements.txt", "stacks", "userdata")
ACCOUNT, REGION = "${AWS::AccountId}", "${AWS::Region}"


def kept_assembly(session: boto3.Session, stack: str, context: Mapping[str, str], place: Path = PLACE) -> Path:
    """The cloud assembly of the stack, synthesized when there is none yet. Raises `CommandError` when that fails."""
    context = {**context, "stack": stack}
    kept = place / _key(context)
    if kept.is_dir():
        return kept
    place.mkdir(parents=True, exist_ok=True)
    with scratch_folder("making-", place) as folder:
        words = ["synth", stack, "--quiet"]
        for name, value in context.items():
            words += ["--context", f"{name}={value}"]
        if cdk(session, words, output=folder / "assembly"):
            raise CommandError("`cdk synth` failed; the lines in the terminal say why.")
        for old in place.iterdir():
            if old != kept and not old.name.startswith("making-"):
                shutil.rmtree(old, ignore_errors=True)
        try:
            (folder / "assembly").rename(kept)
        except OSError:
            if not kept.is_dir():  # another studio was quicker, with the same
                raise
    return kept


def _key(context: dict[str, str]) -> str:
    known = hashlib.sha256(json.dumps([sys.version, context], sort_keys=True).encode())
    for file in _files():
        known.update(f"{file.relative_to(ROOT)} {file.stat().st_mode}\0".encode())
        known.update(hashlib.sha256(file.read_bytes()).digest())
    return known.hexdigest()[:32]


def _files() -> Iterator[Path]:
    for source in SOURCES:
        below = [ROOT / source] if (ROOT / source).is_file() else sorted((ROOT / source).rglob("*"))
        yield from (one for one in below if one.is_file() and "__pycache__" not in one.parts)


def create(session: boto3.Session, stack: str, assembly: Path, parameters: Mapping[str, str]) -> None:
    """Publishes the files of the assembly and creates the stack, as `cdk deploy` does, and waits for it.

    Raises botocore's errors. For an account that is emulated: nothing takes the roles of the bootstrap stack.
    """
    account = session.client("sts").get_caller_identity()["Account"]
    s3 = session.client("s3")
    cloudformation: Any = session.client("cloudformation")  # its waiter takes parts of a second, too
    files = json.loads((assembly / f"{stack}.assets.json").read_text("utf-8"))["files"].values()
    for file in files:
        (place,) = file["destinations"].values()
        source = assembly / file["source"]["path"]
        content = _zipped(source) if file["source"]["packaging"] == "zip" else source.read_bytes()
        bucket = place["bucketName"].replace(ACCOUNT, account).replace(REGION, session.region_name)
        s3.put_object(Bucket=bucket, Key=place["objectKey"], Body=content)
        if source.name == f"{stack}.template.json":
            template = f"https://s3.{session.region_name}.amazonaws.com/{bucket}/{place['objectKey']}"
    cloudformation.create_stack(
        StackName=stack,
        TemplateURL=template,
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=stack, WaiterConfig={"Delay": 0.2, "MaxAttempts": 600}
    )


def _zipped(folder: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return packed.getvalue()
