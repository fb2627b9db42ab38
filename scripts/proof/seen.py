"""What one step of the proof has left, for the rows to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.objects import read
from scripts.command_line.account.runs import Run
from scripts.proof.account import Account, Look
from scripts.proof.place import Place
from scripts.proof.terminal import Finished
from userdata.contract.layout import RunKeys
from userdata.contract.outside import read_json

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Seen:
    """One step: the stack before it, right after its command, and at its end.

    `run` is the deployed run, None where the step waits for none. `bucket` is empty before the first deploy, and stays
    after the stack. `seconds` are those of the waiting. `checks` is what `sd doctor` found, by the names of its checks.
    """

    account: Account
    place: Place
    before: Look
    finished: Finished
    after: Look
    end: Look
    bucket: str
    run: Run | None
    seconds: float
    checks: Mapping[str, str]

    @property
    def s3(self) -> S3Client:
        """S3's client."""
        return self.account.session.client("s3", config=RETRIES)

    @property
    def ec2(self) -> EC2Client:
        """EC2's client."""
        return self.account.session.client("ec2", config=RETRIES)

    @property
    def keys(self) -> RunKeys:
        """The keys of the run."""
        assert self.run
        return RunKeys(self.run.run_id)

    def document(self, key: str) -> dict[str, Any]:
        """A JSON document of the bucket; empty where there is none. Raises `CommandError`."""
        try:
            return read_json(read(self.s3, self.bucket, key) or b"{}")
        except ValueError:
            return {}
