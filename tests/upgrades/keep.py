"""Keeps what one version leaves in an account, for the tests of its update: python -m tests.upgrades.keep COMMIT NAME

In the local cloud of that commit, its own code deploys its own stack, draws one run to its end and one that is then
made what a power cut leaves: its last image, its report and its grid are gone. tests/upgrades/NAME.tar.xz keeps the
template with the parameters that it was deployed with, the templates of other settings, the bundle that its instance
fetches, and all objects of the bucket. It is committed, because a clone in CI has no history. A release is kept when it
is made, and never again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).parent
STACK = "SdOnEc2"
PATIENCE = 300.0  # seconds for a run
COMMON = {"Model": "tiny", "Height": "64", "Width": "64", "Steps": "2", "Samples": "1", "IdleMinutes": "0"}
FINISHED = {**COMMON, "Prompt": "A horse", "Iterations": "2"}
UNFINISHED = {**COMMON, "Prompt": "A tree", "Iterations": "3"}
# Of any commit: `scripts/local/cloud` would set up an environment of its own first.
CLOUD = "import sys; sys.path.insert(0, '.'); from scripts.local.cloud import main; sys.exit(main(sys.argv[1:]))"


def keep(commit: str, name: str) -> None:
    """Makes tests/upgrades/NAME.tar.xz."""
    with tempfile.TemporaryDirectory(prefix="sd-keep-") as folder:
        checkout, left = Path(folder) / "checkout", Path(folder) / "left"
        git("worktree", "add", "--detach", str(checkout), commit)
        try:
            for linked in (".venv", "node_modules"):
                (checkout / linked).symlink_to((ROOT / linked).resolve())
            environment = {**os.environ, "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
            inside = [sys.executable, __file__, "--inside", str(left)]
            subprocess.run(
                [sys.executable, "-c", CLOUD, "--bootstrap", "--", *inside], cwd=checkout, env=environment, check=True
            )
        finally:
            git("worktree", "remove", "--force", str(checkout))
        with tarfile.open(KEPT / f"{name}.tar.xz", "w:xz") as kept:
            for path in sorted(left.rglob("*")):
                if path.is_file():
                    kept.add(path, path.relative_to(left).as_posix(), filter=of_nobody)


def of_nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def git(*words: str) -> None:
    subprocess.run(["git", "-C", str(ROOT), *words], check=True)


def inside(left: Path) -> None:
    """Within the local cloud, in a checkout of the commit: draws both runs, and lays what is there into `left`."""
    draw(FINISHED)
    draw(UNFINISHED)
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    bucket = output(stack, "ResultsBucket")
    objects = {
        entry["Key"]: read(bucket, entry["Key"])
        for page in boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for entry in page["Contents"]
    }
    for key, content in cut_off(objects, run_of(objects, UNFINISHED)).items():
        (left / "bucket" / key).parent.mkdir(parents=True, exist_ok=True)
        # The facts of a machine tell of the computer that keeps them.
        (left / "bucket" / key).write_bytes(b"$ nproc\n4\n" if key.endswith(".facts.txt") else content)
    template = json.loads((Path("cdk.out") / f"{STACK}.template.json").read_text("utf-8"))
    (bundle,) = Path("cdk.out").glob("asset.*")
    # Not the model in the box, which is most of the bundle.
    shutil.copytree(bundle, left / "bundle", ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    (left / "stack.json").write_text(json.dumps({"template": template, "parameters": parameters}), "utf-8")
    keep_other_settings(left / "settings")


def keep_other_settings(left: Path) -> None:
    """Keeps the template of each setting in scripts/audited.json, as the app of this checkout makes it."""
    left.mkdir()
    usual = json.loads(Path("cdk.json").read_text("utf-8"))["context"]
    for name, context in json.loads(Path("scripts/audited.json").read_text("utf-8")).items():
        if context:
            told = {"CDK_CONTEXT_JSON": json.dumps({**usual, **context}), "CDK_DEFAULT_REGION": "us-east-1"}
            out = left.parent / "synthesized"
            environment = {**os.environ, **told, "CDK_OUTDIR": str(out)}
            subprocess.run([sys.executable, "app.py"], env=environment, check=True)
            (out / f"{STACK}.template.json").rename(left / f"{name}.json")
            shutil.rmtree(out)


def draw(parameters: dict[str, str]) -> None:
    """Deploys, and waits until the run is done."""
    given = [word for name, value in parameters.items() for word in ("--parameters", f"{name}={value}")]
    subprocess.run(["cdk", "deploy", "--require-approval", "never", *given], check=True)
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    bucket, instance = output(stack, "ResultsBucket"), output(stack, "InstanceId")
    ec2 = boto3.client("ec2")
    ec2.start_instances(InstanceIds=[instance])
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        keys = [one["Key"] for one in boto3.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])]
        for key in keys:
            if (
                key.endswith("/status.json")
                and read_json(bucket, key.replace("status", "job"), keys).get("prompt") == parameters["Prompt"]
            ):
                status = json.loads(read(bucket, key))
                if status["phase"] == "failed":
                    raise SystemExit(json.dumps(status, indent=2))
                if status["phase"] == "done":
                    ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1})
                    return
        time.sleep(0.5)
    raise SystemExit(f"the run was not done within {PATIENCE} s")


def cut_off(objects: dict[str, bytes], run_id: str) -> dict[str, bytes]:
    """The objects as a power cut leaves them while the run's last image is drawn."""
    images = sorted(key for key in objects if key.startswith(f"runs/{run_id}/") and "/samples/" in key)
    last = images[-1].rsplit(".", 1)[0]
    gone = ("report.json", "log.txt")
    left = {
        key: content
        for key, content in objects.items()
        if not (key.startswith(f"runs/{run_id}/") and (key.endswith(gone) or "/grid-" in key or key.startswith(last)))
    }
    key = f"runs/{run_id}/status.json"
    status = {**json.loads(left[key]), "phase": "generating", "images_done": 2, "eta_seconds": 1.0}
    left[key] = json.dumps(status, indent=2).encode()
    return left


def run_of(objects: dict[str, bytes], parameters: dict[str, str]) -> str:
    (key,) = (
        key
        for key, content in objects.items()
        if key.endswith("/job.json") and json.loads(content)["prompt"] == parameters["Prompt"]
    )
    return key.split("/")[1]


def output(stack: Any, name: str) -> str:
    return str(next(one["OutputValue"] for one in stack["Outputs"] if one["OutputKey"] == name))


def read(bucket: str, key: str) -> bytes:
    return boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()


def read_json(bucket: str, key: str, keys: list[str]) -> dict[str, Any]:
    return json.loads(read(bucket, key)) if key in keys else {}


if __name__ == "__main__":
    if sys.argv[1] == "--inside":
        inside(Path(sys.argv[2]))
    else:
        keep(sys.argv[1], sys.argv[2])
