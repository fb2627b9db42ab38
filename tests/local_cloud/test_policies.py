"""The operator's policies: with that of daily use every such command works, and each of its statements is needed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.loaders import create_loader
from moto.iam.access_control import IAMPolicy
from PIL import Image
from starlette.testclient import TestClient
from typer.testing import CliRunner

from scripts.command_line.gallery import share
from scripts.command_line.generating import generate
from scripts.command_line.main import app
from scripts.command_line.results.watch import watch_run
from scripts.command_line.terminal.session import open_session
from scripts.local.aws import permissions
from scripts.local.aws.permissions import permissions_enforced
from scripts.local.local_cloud import LocalCloud
from scripts.studio.account import Account
from scripts.studio.app import make_app
from scripts.studio.guard import Keys
from tests import terminal
from tests.local_cloud.conftest import Stack, hanging
from tests.local_cloud.test_lifetime import Hung
from tests.synth.conftest import FLEET, ROOT
from userdata.batch.documents import UnitFailed
from userdata.contract.layout import RunKeys, boot_key
from userdata.contract.status import Status
from userdata.fleet.breakers import CLOSED
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.job.job_document import write_job
from userdata.record.drawn_with import DrawnWith
from userdata.record.image_metadata import describe_image, png_with_record

pytestmark = pytest.mark.local_cloud

STACK = "SdOnEc2"  # which the policies name
DEPLOY: dict[str, Any] = json.loads((ROOT / "docs/policies/deploy.json").read_text())
DAILY: dict[str, Any] = json.loads((ROOT / "docs/policies/daily-use.json").read_text())
SMALL = ("--H", "64", "--W", "64", "--steps", "2", "--model", "tiny")


class Operator:
    """A person of the local cloud's account, and what commands ask for in this person's name."""

    def __init__(self, cloud: LocalCloud, instance_id: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cloud, self.instance_id, self.folder = cloud, instance_id, folder
        self.to = ("--to", str(folder))
        self._iam = cloud.client("iam")
        self.name = f"operator-{folder.name}"
        self._iam.create_user(UserName=self.name)
        key = self._iam.create_access_key(UserName=self.name)["AccessKey"]
        keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        self.keys = [f"{name}={value}" for name, value in keys.items()]
        for name, value in {**cloud.environment, **keys}.items():
            monkeypatch.setenv(name, value)
        # Read once: EC2's description alone takes a quarter second, and each command would read it anew.
        descriptions = create_loader()
        monkeypatch.setattr(botocore.session, "create_loader", lambda *_: descriptions)
        self._asked: list[tuple[str, str, Any]] = []
        checks = permissions._moto_checks

        def recorded(request: Any, resource: str) -> None:
            if key["AccessKeyId"] in request._headers["Authorization"]:
                self._asked.append((request._action, resource, permissions.context_here()))
            checks(request, resource)

        monkeypatch.setattr(permissions, "_moto_checks", recorded)

    def may(self, policy: dict[str, Any]) -> None:
        """Gives the person this policy and no other."""
        self._iam.put_user_policy(UserName=self.name, PolicyName="p", PolicyDocument=json.dumps(policy))

    def sd(self, *words: str, status: int = 0) -> str:
        """What a command prints, its error included."""
        with permissions_enforced():
            done = CliRunner().invoke(app, words)
        said = f"{done.output}{done.exception or ''}"
        assert done.exit_code == status, f"{words}: {said}"
        return said

    def put(self, key: str, content: str | bytes) -> None:
        """As a machine writes."""
        outputs = self.cloud.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]
        (bucket,) = [one["OutputValue"] for one in outputs if one["OutputKey"] == "ResultsBucket"]
        self.cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=content, IfNoneMatch="*")

    def got_by_with(self, policy: dict[str, Any]) -> bool:
        """Whether the policy would have allowed everything that was asked for."""
        given = IAMPolicy(json.dumps(policy))
        with permissions_enforced():  # which looks at conditions
            return all(
                permissions.allows(given, action, resource, context)
                for action, resource, context in self._asked
                if action != "sts:GetCallerIdentity"  # which everybody may
            )


@pytest.fixture
def person(cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    stack = Stack(cloud, STACK)
    hung = Hung(stack, hanging(tmp_path / "out", **FLEET))
    person = Operator(cloud, hung.id, tmp_path, monkeypatch)
    person.may(DAILY)
    yield person
    stack.delete()


def test_it_is_enough_for_daily_use_and_every_statement_is_needed(
    person: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    _draw(person, monkeypatch)
    _look(person)
    _look_at_images(person, monkeypatch)
    _play(person)
    _batches(person)
    person.sd("stop")
    person.sd("start")
    _without_the_right_to_stop_it(person)
    person.sd("stop", "--terminate")
    needed = {one["Sid"] for one in DAILY["Statement"] if not person.got_by_with(_without(one["Sid"]))}
    assert needed == {one["Sid"] for one in DAILY["Statement"]}
    idle = {name for name, policy in _each_without_one_resource() if person.got_by_with(policy)}
    assert idle == set()


@pytest.mark.long
def test_both_are_enough_to_deploy_and_to_tear_down(
    cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the roles of `cdk bootstrap`, with the rights that these have."""
    cloud.bootstrap()
    person = Operator(cloud, "", tmp_path, monkeypatch)
    person.may({**DAILY, "Statement": DAILY["Statement"] + DEPLOY["Statement"]})
    command = [sys.executable, "-m", "scripts.command_line"]
    for words in (["deploy", "a horse", *SMALL], ["quota", "request", "--yes"], ["teardown", "--yes"]):
        with permissions_enforced():
            done = terminal.run(cloud, "env", *person.keys, *command, *words)
        assert done.returncode == 0, done.stdout
        assert "could not be used to assume" not in done.stdout


def _draw(person: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a worker that tells the run done as soon as it is asked for."""

    def drawn(session: Any, deployment: Any, run_id: str, *given: Any, **more: Any) -> Any:
        person.put(RunKeys(run_id).status, Status(run_id, person.instance_id, phase="done").to_json())
        return watch_run(session, deployment, run_id, *given, **more)

    monkeypatch.setattr(generate, "watch_run", drawn)
    picture = person.folder / "a.png"
    Image.new("RGB", (64, 64)).save(picture)
    person.sd("generate", "a horse", "--init-img", str(picture), *SMALL, *person.to)


def _put_image(person: Operator) -> str:
    """As the worker does; the name of the run."""
    job = Job(prompt="a dog", model="tiny", H=64, W=64, ddim_steps=2, n_iter=1, n_samples=1, seed=7)
    drawn = DrawnWith(indices=[0], execution="eager", precision="float32", device="cpu")
    record = describe_image(
        job, image_requests(job), 0, run_id=job.name, seconds=1, drawn_with=drawn, versions={"diffusers": "1"}
    )
    keys = RunKeys(job.name)
    person.put(keys.job, write_job(job))
    person.put(keys.image(0), png_with_record(Image.new("RGB", (64, 64)), record))
    person.put(keys.image_metadata(0), record.to_json())
    person.put(keys.log, "drawn")
    person.put(keys.status, Status(job.name, person.instance_id, "done", 1, 1).to_json())
    return job.name


def _look_at_images(person: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "_check_readable", lambda *_: None)  # moto checks no signature in an address
    run = _put_image(person)
    person.sd("results", run, "--zip", "--csv", *person.to)
    person.sd("gallery", run, "--no-open", *person.to)
    assert f"sees 1 images of {run}" in " ".join(person.sd("gallery", "--share", "1", run, *person.to).split())
    person.sd("logs", run)
    boot = {"schema": 1, "instance_id": person.instance_id, "started_at": "2026-01-01T00:00:00Z", "phases": []}
    person.put(boot_key(person.instance_id, "2026-01-01T00:00:00Z"), json.dumps({**boot, "error": None}))
    person.sd("status", "--timeline")
    person.sd("compare", f"{run}/0", run, "--images")


def _play(person: Operator) -> None:
    """The studio's page."""
    keys = Keys(8765)
    account = Account(lambda: open_session("us-east-1", None), STACK)
    headers = {"Authorization": f"Bearer {keys.token}", "Accept": "application/json"}
    page = TestClient(make_app(account, keys), base_url="http://127.0.0.1:8765", headers=headers)
    typed = {"Prompt": "a cat", "Model": "tiny", "Width": "64", "Height": "64", "Steps": "2", "Seed": "1"}
    picture = {"file": ("a.png", (person.folder / "a.png").read_bytes())}
    grid = {**typed, "X": "Steps", "Xs": "2,3"}
    with permissions_enforced():
        for address in ("/", "/status", "/runs", "/stop", "/teardown"):
            assert page.get(address).status_code == 200, address
        for address, form in (("/price", typed), ("/generate", typed), ("/grid", grid), ("/awake", {})):
            answer = page.post(address, data=form)
            assert answer.status_code == 200, f"{address}: {answer.text}"
        run = page.post("/generate", data=typed).json()["run_id"]
        for address in (f"/runs/{run}", f"/runs/{run}/start"):
            answer = page.post(address) if address.endswith("start") else page.get(address)
            assert answer.status_code == 200, f"{address}: {answer.text}"
        put = page.post("/inputs", files=picture)
        assert put.status_code == 200, put.text
        drawn_over = {name: typed[name] for name in ("Prompt", "Model", "Steps")} | {"InitImage": put.json()["key"]}
        assert page.post("/generate", data=drawn_over).status_code == 200


def _look(person: Operator) -> None:
    person.sd("doctor", status=1)  # because this account is not bootstrapped
    for command in ("zones", "cost", "cost --actual", "quota status", "hold 2h", "hold", "hold off"):
        person.sd(*command.split())
    for command in ("results", "report"):
        person.sd(command, *person.to)
    person.sd("status")


def _batches(person: Operator) -> None:
    rows = person.folder / "rows.csv"
    rows.write_text("prompt\na cat\na dog\n")

    def batch(run_id: str, *words: str) -> str:
        said = person.sd("batch", str(rows), "--yes", "--run-id", run_id, *SMALL, *words)
        (run,) = set(re.findall(r"sd watch (\S+)", said))
        return str(run)

    run = batch("now", "--machines", "2")
    person.sd("watch", run, "--json")
    person.sd("pause", run)
    person.put(CLOSED, '{"reason": "a"}')  # as a machine of the fleet does
    person.sd("resume", run, "--yes")
    failed = UnitFailed(instance_id=person.instance_id, reason="a", failed_at=datetime.now(UTC), at=0, bytes=1)
    person.put(RunKeys(run).unit_failed(0, 0), failed.to_json())
    person.sd("retry", run)
    person.sd("cancel", run, "--yes")
    person.sd("cancel", batch("later", "--machines", "2", "--at", "23:59"), "--yes")


def _without_the_right_to_stop_it(person: Operator) -> None:
    """The command names the right, and the page that has the policies."""
    person.may(_without("StartAndStopTheInstance"))
    said = person.sd("stop", status=1)
    assert "You lack the right ec2:StopInstances: docs/threat-model.md has policies" in said
    person.may(DAILY)


def _each_without_one_resource() -> Iterator[tuple[str, dict[str, Any]]]:
    for place, one in enumerate(DAILY["Statement"]):
        for resource in one["Resource"] if isinstance(one["Resource"], list) else ():
            less = {**one, "Resource": [other for other in one["Resource"] if other != resource]}
            statements = [*DAILY["Statement"][:place], less, *DAILY["Statement"][place + 1 :]]
            yield f"{one['Sid']} of {resource}", {**DAILY, "Statement": statements}


def _without(name: str) -> dict[str, Any]:
    return {**DAILY, "Statement": [one for one in DAILY["Statement"] if one["Sid"] != name]}
