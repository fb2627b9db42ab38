"""The machine that stands for a run: what an hour of it costs, and how long it stays up for the next prompt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import boto3

from scripts.command_line.account.deployment import RETRIES, Deployment, need_deployment
from scripts.command_line.account.goes_on import is_emulated
from scripts.command_line.account.plan import Plan
from scripts.command_line.ending.hold import OFF, need_length, read_hold, write_hold
from scripts.command_line.terminal.command_error import CommandError
from stacks.facts.machine_parameters import AfterRun
from userdata.bill.prices import HourlyPrice, read_prices
from userdata.contract.hold import Hold

QUEUE = "InteractiveQueue"


def need_queue(session: boto3.Session, stack: str) -> tuple[Deployment, str]:
    """The deployed stack and the address of its queue. Raises `CommandError` where nothing can be drawn by a queue."""
    deployment = need_deployment(session, stack)
    if not deployment.stands or deployment.state.startswith("DELETE"):
        raise CommandError(deployment.trouble or f"{stack} is {deployment.state}. Deploy it again: `sd deploy`.")
    if QUEUE not in deployment.outputs:
        raise CommandError(
            deployment.trouble
            or f"{stack} was deployed by an earlier version, and has no queue. `sd deploy` adds it; the disk stays."
        )
    return deployment, deployment.outputs[QUEUE]


@dataclass(frozen=True)
class Stay:
    """How long the machine stays up for the next prompt, behind the end of a run; `length` None for no longer."""

    deployment: Deployment
    length: timedelta | None
    price: HourlyPrice | None

    def lengthen(self, session: boto3.Session, *, now: datetime) -> str | None:
        """Holds the instance for `length` from `now`, unless it is held for longer, and says so with the price.

        Raises `CommandError` when the hold cannot be written.
        """
        if self.length is None:
            return None
        s3 = session.client("s3", config=RETRIES)
        until = now + self.length
        held = read_hold(s3, self.deployment)
        if held and held.until >= until:
            until = held.until
        else:
            write_hold(s3, self.deployment, Hold(self.deployment.instance_id, until))
        usd = f" That costs about ${self._usd_until(until, now):.2f}." if self.price and not is_emulated() else ""
        return f"The instance stays up until {until.astimezone(UTC):%H:%M} UTC for your next prompt.{usd}"

    def _usd_until(self, until: datetime, now: datetime) -> float:
        assert self.price
        return self.price.highest * (until - now).total_seconds() / 3600

    @property
    def price_in_words(self) -> str:
        """What an hour of the machine costs, as a sentence."""
        kind = self.deployment.parameters["InstanceType"]
        if self.price is None:
            return f"What an hour of {kind} costs is not known here; see `sd cost`."
        most = "at most " if self.price.at_most else ""
        return f"{kind} costs {most}${self.price.usd:g} an hour while it is up."


def plan_stay(deployment: Deployment, plan: Plan, hold: str, *, region: str) -> Stay:
    """How long the machine stays, by the option `--hold`. Raises `CommandError`, for misuse, for one that is none."""
    length = None if hold == OFF else need_length(hold, deployment)
    if plan.machine.after_run == AfterRun.keep:
        length = None  # it stays up anyway
    if plan.machine.usd_per_hour:
        price: HourlyPrice | None = HourlyPrice(usd=plan.machine.usd_per_hour, source="UsdPerHour")
    else:
        price = read_prices().hourly(region, plan.machine.instance_type, plan.life_cycle)
    return Stay(deployment, length, price)
