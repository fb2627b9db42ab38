"""A stack with queues, and a batch in its bucket, of which a test writes what machines would tell."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from scripts.command_line import main
from scripts.command_line.account.deployment import Deployment, need_deployment
from tests.unit.command_line.conftest import PNG, Account
from userdata.batch.documents import Batch, Control, MachineShare, Part, UnitDone, UnitFailed
from userdata.batch.unit import Unit, UnitImage
from userdata.contract.layout import RunKeys
from userdata.contract.work import Work, dead_letters_of, read_work
from userdata.job.job import Job

RUN = "cats-0123456789"
ARN = "arn:aws:iam::123456789012:user/ada"
JOB = {name: value for name, value in Job(prompt="a cat").model_dump().items() if name not in ("n_iter", "n_samples")}


def share(
    instance_id: str = "i-1", *, ago: timedelta = timedelta(0), now: datetime | None = None, **other: Any
) -> MachineShare:
    """What a machine told so long ago: two units of four images, for 25 cents."""
    now = now or datetime.now(UTC)
    usual: dict[str, Any] = {"units": 2, "images": 4, "seconds": 60, "usd": 0.25, "usd_at_most": 0.25}
    usual |= {"usd_per_hour": 0.8, "life_cycle": "spot", "began": now - timedelta(minutes=10)}
    usual |= {"instance_type": "g6.xlarge", "updated_at": now - ago}
    return MachineShare(instance_id=instance_id, **(usual | other))


class Somebody:
    """Somebody with a batch: of one part, six images in three units, unless a test says otherwise."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.keys = RunKeys(RUN)
        self.sqs: Any = account.session.client("sqs")
        self.queues: dict[str, str] = {}
        for kind in ("interactive", "batch"):
            for name in (f"sd-1-{kind}", dead_letters_of(f"sd-1-{kind}")):
                self.queues[name] = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        account.outputs["InteractiveQueue"] = self.queues["sd-1-interactive"]
        account.outputs["BatchQueue"] = self.queues["sd-1-batch"]
        account.deploy()

    @property
    def deployment(self) -> Deployment:
        return need_deployment(self.account.session, "SdOnEc2")

    def put(self, key: str, document: Any) -> None:
        self.account.put(key, document if isinstance(document, bytes) else document.to_json())

    def ask(
        self, *names: str | None, max_usd: float | None = None, images: int = 6, at: datetime | None = None
    ) -> Batch:
        """Plans a batch of units of two images; `names` are those of its first images."""
        given = [*names, *[None] * (images - len(names))]
        every = [UnitImage(index=n, given={"seed": n}, name=name) for n, name in enumerate(given)]
        units = [Unit(unit=n // 2, job=JOB, images=every[n : n + 2]) for n in range(0, images, 2)]
        lines = b"".join(unit.to_line() for unit in units)
        parts = [Part(images=images, units=len(units), bytes=len(lines))]
        batch = Batch(
            run_id=RUN,
            title="cats.csv",
            by=ARN,
            asked_at=at or datetime.now(UTC),
            model="stable-diffusion-v1-5",
            parts=parts,
            max_usd=max_usd,
        )
        self.put(self.keys.units(0), lines)
        self.put(self.keys.batch, batch)
        return batch

    def draw(self, *units: int) -> None:
        """What is there once a machine has drawn these units."""
        done = UnitDone(
            instance_id="i-1", instance_type="g6.xlarge", life_cycle="spot", ended=datetime.now(UTC), images=2,
            flagged=0, seconds=60,
        )  # fmt: skip
        for unit in units:
            self.put(self.keys.unit_done(0, unit), done)
            for index in (2 * unit, 2 * unit + 1):
                self.put(self.keys.image_metadata(index), b"{}")
                self.put(self.keys.image(index), PNG + bytes([index]))

    def fail(self, unit: int, *, at: int = 0, length: int = 10) -> None:
        """What is there once a machine has set this unit aside."""
        failed = UnitFailed(
            instance_id="i-1", reason="It is poisoned.", failed_at=datetime.now(UTC), at=at, bytes=length
        )
        self.put(self.keys.unit_failed(0, unit), failed)

    def control(self, state: Any, *, ago: timedelta = timedelta(0), why: str = "") -> None:
        self.put(self.keys.control, Control(state=state, by=ARN, at=datetime.now(UTC) - ago, why=why))

    def state(self) -> str:
        """What control.json says; `go` without it."""
        if self.keys.control not in self.objects():
            return "go"
        return Control.from_json(self.read(self.keys.control)).state

    def read(self, key: str) -> bytes:
        return self.account.s3.get_object(Bucket=self.account.bucket, Key=key)["Body"].read()

    def objects(self) -> set[str]:
        found = self.account.s3.list_objects_v2(Bucket=self.account.bucket).get("Contents", [])
        return {one["Key"] for one in found}

    def waits(self, queue: str = "sd-1-batch") -> list[Work]:
        """What the messages of a queue ask for, in an order that can be compared."""
        found = self.sqs.receive_message(QueueUrl=self.queues[queue], MaxNumberOfMessages=10, VisibilityTimeout=0)
        return sorted((read_work(one["Body"]) for one in found.get("Messages", [])), key=repr)

    def sd(self, *words: str, status: int = 0, typed: str = "") -> str:
        """What `sd` says to these words, on both outputs."""
        outcome = CliRunner().invoke(main.app, [*words, "--region", "us-east-1"], input=typed)
        if outcome.exception and not isinstance(outcome.exception, SystemExit):
            raise outcome.exception
        assert outcome.exit_code == status, outcome.output
        return outcome.output

    def watched(self) -> dict[str, Any]:
        """What `sd watch --json` says."""
        return json.loads(self.sd("watch", RUN, "--json"))  # type: ignore[no-any-return]


@pytest.fixture
def somebody(account: Account, monkeypatch: pytest.MonkeyPatch) -> Somebody:
    monkeypatch.setattr("scripts.command_line.terminal.session.open_session", lambda *_: account.session)
    return Somebody(account)
