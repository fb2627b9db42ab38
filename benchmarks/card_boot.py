"""`python -m benchmarks.card_boot ASSEMBLY`: boots the deployed user data on this machine's own NVIDIA card.

For a machine with a card but without Node.js, on which `cdk deploy` cannot run: ASSEMBLY is the `cdk.out` that
`cdk synth` made elsewhere. Its assets and its template go into a local cloud, whose instance is this machine. Elsewhere
`./scripts/demo` does the same and more.

Walks through a first boot, another prompt on the stopped instance, and a new instance that finds the first one's
kernels in the cache, and prints what each left in the bucket. The model has Stable Diffusion v1's size and layout and
random weights, which it makes itself; `--model tiny` goes the same way in miniature, also without a card.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.card import describe
from benchmarks.random_checkpoint import write_random_checkpoint
from scripts.command_line.terminal.plain_text import say
from scripts.interruption.scratch_folder import scratch_folder
from scripts.interruption.signals import ends_in_a_sentence
from scripts.local.local_cloud import LocalCloud
from userdata.contract.layout import BOOTS, CACHE, RUNS

STACK = "CardBoot"
MODELS = "card-boot-models"
BOOTSTRAP_VERSION = "/cdk-bootstrap/hnb659fds/version"
PATIENCE = 300.0  # seconds


class Walk:
    """One stack in one local cloud, and what its runs left."""

    def __init__(self, cloud: LocalCloud, assembly: Path) -> None:
        self._cloudformation, self._s3 = cloud.client("cloudformation"), cloud.client("s3")
        self._ec2 = cloud.client("ec2")
        (manifest,) = assembly.glob("*.assets.json")
        self._files = json.loads(manifest.read_text("utf-8"))["files"]
        self._assembly = assembly
        self._account = {"${AWS::AccountId}": cloud.account.id, "${AWS::Region}": cloud.account.region}
        cloud.client("ssm").put_parameter(Name=BOOTSTRAP_VERSION, Value="30", Type="String")
        self._template = self._upload_assets()

    def _upload_assets(self) -> str:
        """Uploads the assembly's assets as the CDK CLI does. Returns the template's address."""
        template = ""
        for file in self._files.values():
            (place,) = file["destinations"].values()
            bucket = place["bucketName"]
            for token, value in self._account.items():
                bucket = bucket.replace(token, value)
            self._s3.create_bucket(Bucket=bucket)
            source = self._assembly / file["source"]["path"]
            if file["source"]["packaging"] == "zip":
                with scratch_folder("sd-benchmark-") as folder:
                    self._s3.upload_file(
                        shutil.make_archive(f"{folder}/asset", "zip", source), bucket, place["objectKey"]
                    )
            else:
                self._s3.upload_file(str(source), bucket, place["objectKey"])
                if source.name.endswith(".template.json"):
                    template = f"https://s3.us-east-1.amazonaws.com/{bucket}/{place['objectKey']}"
        return template

    def deploy(self, **parameters: str) -> None:
        """Creates or updates the stack, and waits until its run has ended and its instance is stopped."""
        began = time.monotonic()
        before = set(self._keys(RUNS))
        wanted = {
            "StackName": STACK,
            "TemplateURL": self._template,
            "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
        }
        standing = [stack for stack in self._cloudformation.describe_stacks()["Stacks"] if stack["StackName"] == STACK]
        if standing:
            self._cloudformation.update_stack(**wanted)
        else:
            self._cloudformation.create_stack(**wanted)
        stack = _until(lambda: self._settled(), "the stack stands")
        self.bucket = next(one["OutputValue"] for one in stack["Outputs"] if one["OutputKey"] == "ResultsBucket")
        instance = next(one["OutputValue"] for one in stack["Outputs"] if one["OutputKey"] == "InstanceId")
        if self._state(instance) == "stopped":  # as `sd start` does
            self._ec2.start_instances(InstanceIds=[instance])
        _until(lambda: self._state(instance) == "stopped", "the instance stops after its run")
        say(f"deploy to stopped: {time.monotonic() - began:.1f} s, instance {instance}")
        self._tell(sorted(set(self._keys(RUNS)) - before), instance)

    def _settled(self) -> dict[str, Any] | None:
        stack: dict[str, Any] = self._cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
        return None if stack["StackStatus"].endswith("_IN_PROGRESS") else stack

    def _state(self, instance: str) -> str:
        found = self._ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return str(found["State"]["Name"])

    def _tell(self, keys: list[str], instance: str) -> None:
        for key in sorted(self._keys(f"{BOOTS}{instance}/"))[-2:]:  # the record, and the facts of the machine
            say(f"{key}\n{self._read(key)}")
        for key in keys:
            if key.endswith(("status.json", "report.json", "log.txt", "gpu.csv")):
                say(f"{key}\n{self._read(key)}")
        say(f"{sum(key.endswith('.png') for key in keys)} pictures")
        for key, size in self._sizes(CACHE):
            say(f"in the cache: {key}, {size:,} bytes")

    def _read(self, key: str) -> str:
        return str(self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode())

    def _keys(self, prefix: str) -> list[str]:
        return [key for key, _ in self._sizes(prefix)] if hasattr(self, "bucket") else []

    def _sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield entry["Key"], entry["Size"]


def _until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {PATIENCE:g} s: {what}")
        time.sleep(0.1)
    return found


def main() -> None:
    """Reads the options, and walks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assembly", type=Path, help="the folder cdk.out of `cdk synth`")
    parser.add_argument("--model", choices=("random", "tiny"), default="random", help="tiny needs no card")
    parser.add_argument("--images", type=int, default=64, help="images of each run, 50 steps each")
    options = parser.parse_args()
    device = torch.device("cpu" if options.model == "tiny" else "cuda")
    say(json.dumps(describe(device), indent=2))
    with LocalCloud() as cloud:
        model = "tiny"
        if options.model == "random":
            s3 = cloud.client("s3")
            s3.create_bucket(Bucket=MODELS)
            with scratch_folder("sd-benchmark-") as folder:
                file = folder / "random.safetensors"
                write_random_checkpoint(file, device=device)
                s3.upload_file(str(file), MODELS, file.name)
            model = f"s3://{MODELS}/random.safetensors"
        walk = Walk(cloud, options.assembly)
        job = {
            "Model": model,
            "Iterations": str(options.images // 8),
            "Samples": "8",
            "Steps": "50",
            "IdleMinutes": "0",
            # Its weights are on the hub, which such a machine may not reach.
            "SafetyChecker": "off",
        }
        try:
            say("== first boot")
            walk.deploy(Prompt="a horse standing under a tree", **job)
            say("== another prompt on the stopped instance")
            walk.deploy(Prompt="a lighthouse at night", **job)
            say("== a new instance, with the cache")
            walk.deploy(Prompt="a red bicycle", Replaces="i-0123456789abcdef0", **job)
        except TimeoutError:
            for instance in cloud.machines:
                say(f"console of {instance}:\n{cloud.machines[instance].console}")
            say(cloud.log_file.read_text("utf-8")[-4000:])
            raise


if __name__ == "__main__":
    with ends_in_a_sentence():
        main()
