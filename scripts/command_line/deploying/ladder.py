"""Capacity as a ladder: types and zones in order of price, until AWS has an instance to give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import boto3
import botocore.exceptions
from rich.console import Console
from rich.table import Table

from scripts.command_line.account.instance import NoCapacityError
from scripts.command_line.account.plan import Plan
from scripts.command_line.account.zones import spot_scores
from scripts.command_line.deploying.capacity import QUOTAS, meaning_of, no_way_around, quota_request
from scripts.command_line.deploying.reservation import Reservation, hold
from scripts.command_line.deploying.rungs import Rung
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.command_line.terminal.plain_text import cell
from scripts.command_line.terminal.question import ask
from stacks.facts.vcpu_quotas import quota_kind

FORBIDDEN = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
SLOWLY = "each attempt is a deploy, and AWS takes minutes to refuse one."
Outcome = TypeVar("Outcome")


@dataclass
class Climb:
    """One climb for the stack `stack`: what was refused, and whether capacity may be reserved beforehand.

    `yes` replaces an instance that stands without a question.
    """

    session: boto3.Session
    stack: str
    console: Console
    yes: bool = False
    reserves: bool = True

    def until_one_stands(self, rungs: Sequence[Rung], deploy: Callable[[Plan], Outcome]) -> Outcome:
        """What `deploy` gives for the first rung that AWS has capacity for. Each attempt is told in a line.

        `deploy` raises `NoCapacityError` when AWS had none after all. Raises `CommandError`, with a table of what was
        refused, when no rung is left, and for what no other rung mends.
        """
        refused: dict[Rung, str] = {}
        scores = self._begin(rungs)
        for rung in rungs:
            if why := _as_before(rung, refused):
                refused[rung] = why
                continue
            if rung.is_moved and not self.yes:
                self._ask(rung)
            score = f", placement score {scores[rung.zone]} of 10" if rung.zone in scores else ""
            self._say(f"{rung.text}{score}: ", end="")
            try:
                return self._attempt(rung, deploy)
            except NoCapacityError as error:
                refused[rung] = error.why
                self._say(f"{error.why}.")
        self._show(refused)
        raise CommandError(_nothing_left(refused))

    def _begin(self, rungs: Sequence[Rung]) -> Mapping[str, int]:
        """Says what a climb of spot instances is, and gives the zones' scores where they may be asked for."""
        if not rungs[0].plan.settings.spot:
            return {}
        self._say(f"Spot capacity cannot be reserved: {SLOWLY}")
        try:
            return spot_scores(self.session, list(dict.fromkeys(rung.instance_type for rung in rungs)))
        except CommandError:
            return {}

    def _attempt(self, rung: Rung, deploy: Callable[[Plan], Outcome]) -> Outcome:
        if rung.runs or rung.plan.settings.spot or not self.reserves:
            self._say("deploying.")
            return deploy(rung.plan)
        held = hold(
            self.session,
            stack=self.stack,
            instance_type=rung.instance_type,
            zone=rung.zone,
            ami=rung.plan.settings.ami,
            console=self.console,
        )
        with ExitStack() as until_it_stands:
            try:
                reservation = until_it_stands.enter_context(held)
            except botocore.exceptions.ClientError as error:
                return self._without(error, rung, deploy)
            self._say(_held(reservation, rung))
            return deploy(rung.plan)

    def _without(
        self, error: botocore.exceptions.ClientError, rung: Rung, deploy: Callable[[Plan], Outcome]
    ) -> Outcome:
        """What follows from EC2's refusal to reserve."""
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        said = f"{code}: {message}"
        if way_out := no_way_around(said):
            raise CommandError(f"AWS did not reserve an instance. {way_out}") from error
        if code in FORBIDDEN:
            self.reserves = False
            self._say(f"you may not reserve capacity (ec2:CreateCapacityReservation), so {SLOWLY}")
            return deploy(rung.plan)
        if why := meaning_of(said):
            raise NoCapacityError(said, why=why) from error
        with aws_errors_in_words(f"reserve {rung.instance_type} in {rung.zone}"):
            raise error

    def _ask(self, rung: Rung) -> None:
        """Asks once. Raises `CommandError` without a yes."""
        question = (
            f"A new instance in {rung.zone} takes the place of the one that stands, whose disk goes. The images stay "
            "in the bucket, and what it caches makes the new boot shorter. Go on?"
        )
        self.yes = ask(question, otherwise="Nothing was replaced")
        if not self.yes:
            raise CommandError("Nothing was replaced: the instance is as it was.")

    def _say(self, text: str, end: str = "\n") -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True, end=end)

    def _show(self, refused: Mapping[Rung, str]) -> None:
        table = Table("type", "zone", "$ an hour", "refused, because", box=None, pad_edge=False)
        for rung, why in refused.items():
            table.add_row(rung.instance_type, rung.zone, rung.price, cell(why))
        self.console.print(table)


def _held(reservation: Reservation, rung: Rung) -> str:
    if not reservation.is_free:
        return "another instance of yours takes the reserved place, so nothing is held; deploying."
    left = (reservation.gone_by - datetime.now(UTC)).total_seconds() / 3600
    most = f": ${left * rung.usd:.2f}" if rung.usd else ""
    until = f"{reservation.gone_by:%H:%M} UTC at most{most}"
    return f"held, deploying.\nShould this computer be lost meanwhile, the place is billed until {until}."


def _as_before(rung: Rung, refused: Mapping[Rung, str]) -> str | None:
    """Why a rung need not be tried: the quota that refused as small a type is the same in every zone."""
    kind = quota_kind(rung.instance_type, spot=rung.plan.settings.spot)
    for other, why in refused.items():
        same = kind and kind == quota_kind(other.instance_type, spot=other.plan.settings.spot)
        if why in QUOTAS and same and other.vcpus <= rung.vcpus:
            return why
    return None


def _nothing_left(refused: Mapping[Rung, str]) -> str:
    said = (
        "AWS has none of these to give. Try again later, or widen the search: more types, a higher --at-most, another "
        "--region."
    )
    short = next((rung for rung, why in refused.items() if why in QUOTAS), None)
    return f"{said} For a larger quota: `{quota_request(short.plan)}`." if short else said
