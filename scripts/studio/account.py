"""The account as the studio sees it: read anew for each answer, so that closing the page loses nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config

from scripts.command_line.account.deployment import RETRIES, Deployment, find_deployment
from scripts.command_line.account.goes_on import is_emulated
from scripts.command_line.account.instance import InstanceState, instance_state
from scripts.command_line.account.plan import Plan, make_plan
from scripts.command_line.account.unfinished_runs import WORKS
from scripts.command_line.account.waiting import runs_waiting
from scripts.command_line.ending.hold import read_hold
from scripts.command_line.generating.machine import Stay, need_queue, plan_stay
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.session import credentials_of
from scripts.studio.preparation import Preparation

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# A page must say within seconds that AWS does not answer; botocore would wait for a minute, five times.
PATIENCE = Config(connect_timeout=4, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3})
# As long as `sd generate` holds the instance by default.
HOLD = "10m"


class SharedSession:
    """A session for many threads: clients may be shared among them, but only one may be made at a time.

    A client that is kept also spares each answer the tenths of a second that EC2's description takes. Everything else
    is the session's own. Rejected: a subclass, which would register boto3's handlers with the session a second time.
    """

    def __init__(self, session: boto3.Session) -> None:
        self._shared = session
        self._kept: dict[str, Any] = {}
        self._one_at_a_time = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shared, name)

    def client(self, service: str, **options: Any) -> Any:
        """The client that was made with the same options before, or a new one."""
        if options.get("config") in (None, RETRIES):
            options["config"] = PATIENCE
        key = repr((service, sorted((name, repr(value)) for name, value in options.items())))
        with self._one_at_a_time:
            if key not in self._kept:
                self._kept[key] = self._shared.client(service, **options)  # type: ignore[call-overload]
            return self._kept[key]


class Account:
    """The person's session and stack. `open_session` may be called again: after a log-in there are other keys.

    `preparation` is that of the local cloud, and None for an account that is there.
    """

    def __init__(
        self, open_session: Callable[[], boto3.Session], stack: str, preparation: Preparation | None = None
    ) -> None:
        self._open = open_session
        self._session: boto3.Session | None = None
        self.stack = stack
        self.preparation = preparation
        self.began: dict[str, dict[str, str]] = {}  # by the bucket: when runs began that are done

    @property
    def session(self) -> boto3.Session:
        """Raises `CommandError` without credentials, and while the local cloud is being prepared."""
        if self._session is None:
            if self.preparation:
                self.preparation.refuse_what_is_not_there()
            opened = self._open()
            credentials_of(opened)
            self._session = cast(boto3.Session, SharedSession(opened))
        return self._session

    @property
    def s3(self) -> S3Client:
        """The bucket's service. Raises `CommandError` without credentials."""
        client: S3Client = self.session.client("s3", config=RETRIES)
        return client

    def need_queue(self) -> tuple[Deployment, str]:
        """The stack that can draw, and its queue. Raises `CommandError`."""
        try:
            return need_queue(self.session, self.stack)
        except CommandError:
            self.forget_session()
            raise

    def forget_session(self) -> None:
        """The next answer looks for credentials anew, because those that there were have failed."""
        self._session = None


@dataclass(frozen=True)
class Machine:
    """What stands and what it costs, at one moment. `held_until` is None where nothing holds the instance."""

    deployment: Deployment
    state: InstanceState
    stay: Stay
    plan: Plan
    held_until: datetime | None
    waiting: int

    @property
    def is_up(self) -> bool:
        """Whether the instance costs money by the hour now."""
        return self.state.name in WORKS

    @property
    def price_in_words(self) -> str:
        """What an hour costs, as a sentence; nothing in an emulated account."""
        return "The local cloud costs nothing." if is_emulated() else self.stay.price_in_words


def look(account: Account, *, now: datetime | None = None) -> Machine | None:
    """What stands, None for no stack. Raises `CommandError`, and then looks for other credentials the next time."""
    try:
        deployment = find_deployment(account.session, account.stack)
        if deployment is None:
            return None
        if not deployment.stands:
            raise CommandError(deployment.trouble or f"{account.stack} is {deployment.state}.")
        state = instance_state(account.session, deployment)
        plan = make_plan(deployment, {}, {})
        hold = read_hold(account.s3, deployment)
        return Machine(
            deployment=deployment,
            state=state,
            stay=plan_stay(deployment, plan, HOLD, region=account.session.region_name),
            plan=plan,
            held_until=hold.until if hold and hold.until > (now or datetime.now(UTC)) else None,
            waiting=runs_waiting(account.session, deployment),
        )
    except CommandError:
        account.forget_session()
        raise
