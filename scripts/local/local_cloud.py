"""The local cloud as a context manager: an emulated account, in which instances are machines that boot."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from scripts.interruption.child_process import run_bound
from scripts.interruption.scratch_folder import scratch_folder
from scripts.local.aws.account import Account
from scripts.local.aws.account_plan import on_the_free_plan
from scripts.local.aws.bucket_policies import bucket_policies
from scripts.local.aws.capacity import Capacity
from scripts.local.aws.conditional_writes import conditional_writes
from scripts.local.aws.faults import Faults
from scripts.local.aws.permissions import permissions_enforced
from scripts.local.aws.queues import queues_as_strict_as_sqs
from scripts.local.aws.seeds import seed
from scripts.local.aws.server import Server
from scripts.local.aws.service_quotas import LIMITS, ec2_quotas
from scripts.local.aws.spot_prices import spot_prices_of_the_table
from scripts.local.aws.spot_requests import spot_instances_cannot_be_stopped
from scripts.local.aws.zones import types_in_their_zones
from scripts.local.bootstrap_stack import PLACE, create_remembered, remember
from scripts.local.cloudformation.service import stacks_of
from scripts.local.command_environment import CHECKOUT, command_environment
from scripts.local.machines.machines import Machines, MakeMachine
from scripts.local.scaling.group_api import auto_scaling
from scripts.local.scaling.groups import Groups
from scripts.local.watching.alarm_clock import AlarmClock

log = logging.getLogger(__name__)

# moto keeps its state in the process.
_only_one = threading.Lock()


class LocalCloudError(RuntimeError):
    """The local cloud could not do something. The message is a sentence for a person."""


class LocalCloud:
    """An emulated AWS account, from `__enter__` to `__exit__`.

    One at a time in a process. `verbose` shows the cloud's log on standard error; `keep` leaves the scratch folder
    (the machines' disks and `cloud.log`) behind; `enforce_iam` refuses what the caller's policies do not allow;
    `free_plan` makes the account one of AWS's Free Plan; `quotas` are vCPUs by the code of a quota, in place of the
    small account's; `make` makes the machines, as `Machines` says.

    Attributes, once entered: `environment` for subprocesses (`aws`, `cdk`, `scripts/sd`), `machines` by instance id,
    `account`, `clock` for its alarms and schedules, `capacity` that EC2 has to give, `faults` that its machines meet,
    `scratch`, `log_file`.
    """

    environment: dict[str, str]
    machines: Machines
    account: Account
    clock: AlarmClock
    capacity: Capacity
    faults: Faults

    def __init__(
        self,
        *,
        verbose: bool = False,
        keep: bool = False,
        enforce_iam: bool = False,
        free_plan: bool = False,
        quotas: dict[str, float] | None = None,
        make: MakeMachine | None = None,
    ) -> None:
        self._verbose = verbose
        self._make = make
        self._keep = keep
        self._enforce_iam = enforce_iam
        self._free_plan = free_plan
        self._quotas = quotas or {}
        self._context = contextlib.ExitStack()

    def __enter__(self) -> LocalCloud:
        if not _only_one.acquire(blocking=False):
            raise LocalCloudError("Another local cloud runs in this process; leave that one first.")
        self._context.callback(_only_one.release)
        try:
            self._start()
        except BaseException:
            self._context.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._context.close()

    @property
    def endpoint(self) -> str:
        """The address of the emulated AWS API."""
        return self.account.endpoint

    def client(self, service: str) -> Any:
        """A boto3 client of the account's administrator."""
        return self.account.client(service)

    def bootstrap(self, remembered: Path = PLACE) -> None:
        """Prepares the account as `cdk bootstrap` does. `remembered` is the folder of `bootstrap_stack`.

        Raises `LocalCloudError` with what the command printed when it fails.
        """
        if create_remembered(self.account, remembered):
            return
        where = f"aws://{self.account.id}/{self.account.region}"
        said = self.scratch / "bootstrap.log"
        with scratch_folder("bootstrap-", self.scratch) as folder, said.open("wb") as output:
            command = ["cdk", "bootstrap", where, "--app", ""]
            failed = run_bound(command, folder=folder, environment=self.environment, output=output, errors=output)
        if failed:
            raise LocalCloudError(f"`cdk bootstrap` failed in the local cloud:\n{said.read_text('utf-8', 'replace')}")
        remember(self.account, remembered)

    def _start(self) -> None:
        if self._keep:
            self.scratch = Path(tempfile.mkdtemp(prefix="sd-local-"))
        else:
            self.scratch = self._context.enter_context(scratch_folder("sd-local-"))
        # The machines run as another user when the caller is root: they may pass through, not look around.
        self.scratch.chmod(0o711)
        self.log_file = self.scratch / "cloud.log"
        server = Server(self.log_file, verbose=self._verbose)
        server.start()
        self._context.callback(server.stop)
        self.account = Account(server.endpoint)
        seed(self.account)
        self._context.enter_context(bucket_policies())
        self._context.enter_context(conditional_writes())
        self._context.enter_context(queues_as_strict_as_sqs())
        self.faults = server.faults
        self._context.enter_context(self.faults.of_messages())
        self._context.enter_context(stacks_of(self.account))
        self._context.enter_context(spot_instances_cannot_be_stopped())
        self._context.enter_context(types_in_their_zones())
        self._context.enter_context(ec2_quotas(self._quotas))
        self.capacity = Capacity({**{code: limit for code, (_, limit) in LIMITS.items()}, **self._quotas})
        self._context.enter_context(self.capacity.limited())
        self._context.enter_context(spot_prices_of_the_table())
        self.clock = AlarmClock(self.account)
        self._context.enter_context(self.clock.attached())
        self.machines = Machines(self.scratch / "machines", server.endpoint, self._make)
        self._context.enter_context(self.machines.attached())
        self._context.callback(self.machines.close)
        groups = Groups(self.account, self.clock)
        self._context.enter_context(auto_scaling(groups))
        self._context.enter_context(groups.running())
        self.environment = command_environment(
            os.environ,
            endpoint=server.endpoint,
            region=self.account.region,
            access_key_id=self.account.access_key_id,
            secret_access_key=self.account.secret_access_key,
            scratch=self.scratch,
        )
        if self._free_plan:
            self._context.enter_context(on_the_free_plan())
        if self._enforce_iam:
            self._context.enter_context(permissions_enforced())
        log.info("The local cloud is at %s; its checkout is %s.", server.endpoint, CHECKOUT)
