"""A place for machine tests: a local cloud that enforces IAM, whose instances boot as real machines."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.local.aws.metadata_service import MetadataService
from scripts.local.command_environment import CHECKOUT
from scripts.local.local_cloud import LocalCloud
from tests import terminal
from tests.machine.booted.alone import alone
from tests.machine.booted.booted_machine import BootedMachine, Build
from tests.machine.site.fleet import MOST, Fleet
from tests.machine.site.instance import Instance
from tests.machine.site.rights import Rights

STACK = "SdOnEc2"
QUICK = {
    "Model": "tiny",
    "Height": "64",
    "Width": "64",
    "Steps": "2",
    "Iterations": "2",
    "Samples": "1",
    "IdleMinutes": "0",
}
Prepare = Callable[[BootedMachine], None]


class Site:
    """Launches instances from the deployed template. One stack each, so that tests do not meet."""

    def __init__(self, root: Path, *, machine_env: Mapping[str, str] | None = None) -> None:
        """`root` is the machines' root file system; `machine_env` is what the image of each says in `machine.env`."""
        self._build = Build(root, machine_env or {})
        self._prepare: Prepare | None = None
        self._last = 0
        self._last_size = 100
        self.cloud = LocalCloud(make=self._make, enforce_iam=True)
        self.rights = Rights()

    @contextlib.contextmanager
    def open(self, folder: Path) -> Iterator[Site]:
        """The cloud, bootstrapped, with the template and its assets in `folder`/cdk.out.

        They are made there once for all processes that are given the same folder.
        """
        with self.cloud, self.rights.recorded():
            self.cloud.bootstrap()
            self.assembly = folder / "cdk.out"
            with alone(folder / "lock"):
                if not self.assembly.exists():
                    self.run("cdk", "synth", "--quiet", "--output", str(self.assembly))
            self._publish()
            yield self

    def run(self, *command: str) -> str:
        """A person's command in the checkout; what it printed."""
        done = terminal.run(self.cloud, *command)
        assert done.returncode == 0, done.stdout
        return done.stdout

    @contextlib.contextmanager
    def launched(
        self,
        given: Mapping[str, str] | None = None,
        *,
        machine_env: Mapping[str, str] | None = None,
        prepare: Prepare | None = None,
    ) -> Iterator[Instance]:
        """An instance of a stack of its own, as long as the context lasts.

        `given` are template parameters on top of the quick ones; `prepare` sees the machine before it boots.
        """
        self._last += 1
        stack = f"machine-{self._last}"
        with self._making(machine_env or {}, prepare):
            self._create(stack, self.assembly, given or {})
            instance = Instance(self.cloud, stack)
        with self._ended(instance):
            yield instance

    @contextlib.contextmanager
    def fleet(self) -> Iterator[Fleet]:
        """A stack with a fleet, as long as the context lasts, whose instance is never switched on."""
        assembly = self.cloud.scratch / "fleet.out"
        self.run("cdk", "synth", "--quiet", "--output", str(assembly), "-c", f"fleet={MOST}")
        with self._making({}, _stays_off):
            self._create("machine-fleet", assembly, {})
            instance = Instance(self.cloud, "machine-fleet")
        fleet = Fleet(self.cloud, instance)
        with self._ended(instance):
            try:
                yield fleet
            finally:
                fleet.end()

    @contextlib.contextmanager
    def making(self, *, machine_env: Mapping[str, str] | None = None, prepare: Prepare | None = None) -> Iterator[None]:
        """What the machines are like that a fleet launches while the context lasts."""
        with self._making(machine_env or {}, prepare):
            yield

    @contextlib.contextmanager
    def replaced(
        self, instance: Instance, *, machine_env: Mapping[str, str], prepare: Prepare | None = None
    ) -> Iterator[Instance]:
        """The instance that takes the place of `instance`: another disk, the same bucket."""
        self._last_size += 1
        with self._making(machine_env, prepare):
            instance.update(VolumeSize=str(self._last_size))
        with self._ended(Instance(self.cloud, instance.stack)) as new:
            yield new

    @contextlib.contextmanager
    def deployed(self, given: Mapping[str, str]) -> Iterator[Instance]:
        """An instance that the real `cdk deploy` launches, as long as the context lasts."""
        self.cdk_deploy(**given)
        with self._ended(Instance(self.cloud, STACK)) as instance:
            yield instance

    def cdk_deploy(self, **parameters: str) -> None:
        """The real command, with template parameters."""
        words = [word for name, value in parameters.items() for word in ("--parameters", f"{name}={value}")]
        self.run("cdk", "deploy", "--output", str(self.cloud.scratch / "cdk.out"), *words)

    def role_of(self, instance: Instance) -> tuple[str, list[dict[str, Any]]]:
        """The role of the instance and the statements of its own policy."""
        return self._role(instance.stack)

    def take_rights_away(self) -> None:
        """Leaves the role of the stack that was created last without its policy."""
        stack = f"machine-{self._last}"
        iam = self.cloud.client("iam")
        role, _ = self._role(stack)
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            iam.delete_role_policy(RoleName=role, PolicyName=name)

    def _role(self, stack: str) -> tuple[str, list[dict[str, Any]]]:
        iam = self.cloud.client("iam")
        resources = self.cloud.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
        roles = [one for one in resources if one["ResourceType"] == "AWS::IAM::Role"]
        (role,) = [one["PhysicalResourceId"] for one in roles if one["LogicalResourceId"].startswith("WorkerRole")]
        documents = [
            iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
        ]
        return role, [statement for document in documents for statement in document["Statement"]]

    @property
    def bundle(self) -> tuple[str, str]:
        """Where the bundle lies: its bucket and key."""
        files = json.loads((self.assembly / f"{STACK}.assets.json").read_text("utf-8"))["files"].values()
        (asset,) = [file for file in files if file["source"]["packaging"] == "zip"]
        (place,) = asset["destinations"].values()
        return self._placed(place)

    def _create(self, stack: str, assembly: Path, given: Mapping[str, str]) -> None:
        self.cloud.client("cloudformation").create_stack(
            StackName=stack,
            TemplateBody=self._template(stack, assembly),
            Parameters=_parameters({**QUICK, **given}),
            Capabilities=["CAPABILITY_IAM"],
        )

    def _template(self, stack: str, assembly: Path) -> str:
        """The deployed template. The CDK has named the key pair for its own stack; a name is there once only."""
        template = json.loads((assembly / f"{STACK}.template.json").read_text("utf-8"))
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::EC2::KeyPair":
                resource["Properties"]["KeyName"] = stack
        return json.dumps(template)

    @contextlib.contextmanager
    def bundle_with(self, changed: Mapping[str, str]) -> Iterator[None]:
        """The bundle in the bucket has other texts for some of its files, as long as the context lasts."""
        self._publish(changed)
        try:
            yield
        finally:
            self._publish()

    def _publish(self, changed: Mapping[str, str] | None = None) -> None:
        bucket, key = self.bundle
        self.cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=zipped(CHECKOUT / "userdata", changed))

    def _placed(self, destination: dict[str, Any]) -> tuple[str, str]:
        names = {"${AWS::AccountId}": self.cloud.account.id, "${AWS::Region}": self.cloud.account.region}
        bucket = functools.reduce(lambda text, name: text.replace(name, names[name]), names, destination["bucketName"])
        return bucket, destination["objectKey"]

    @contextlib.contextmanager
    def _making(self, machine_env: Mapping[str, str], prepare: Prepare | None) -> Iterator[None]:
        before = self._build, self._prepare
        self._build = dataclasses.replace(before[0], settings={**before[0].settings, **machine_env})
        self._prepare = prepare
        try:
            yield
        finally:
            self._build, self._prepare = before

    @contextlib.contextmanager
    def _ended(self, instance: Instance) -> Iterator[Instance]:
        try:
            yield instance
        except BaseException:
            print(instance.story())  # noqa: T201  # what a person needs to see of a failed test
            raise
        finally:
            instance.end()

    def _make(
        self, disk: Path, metadata: MetadataService, aws_endpoint: str, on_end: Callable[[], None]
    ) -> BootedMachine:
        machine = BootedMachine(disk, metadata, aws_endpoint, on_end, self._build)
        if self._prepare:
            self._prepare(machine)
        return machine


def zipped(folder: Path, changed: Mapping[str, str] | None = None) -> bytes:
    """A bundle of `folder`, as the CDK makes it; `changed` are other texts for files in it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as bundle:
        for file in sorted(folder.rglob("*")):
            name = str(file.relative_to(folder))
            if file.is_file() and "__pycache__" not in name:
                bundle.writestr(name, (changed or {}).get(name) or file.read_bytes())
    return content.getvalue()


def _stays_off(machine: BootedMachine) -> None:
    machine.start = lambda: None  # type: ignore[method-assign]


def _parameters(given: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
