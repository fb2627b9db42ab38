"""Server-sent events: images as they arrive, how far their runs are, and the machine. One stream for each open page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.account.instance import known_run_id
from scripts.command_line.account.runs import read_status, run_names
from scripts.command_line.terminal.command_error import CommandError
from scripts.studio.account import Account, Machine, look
from scripts.studio.answer import render
from scripts.studio.pictures import RUN_NAME, RunSeen, see_run
from scripts.studio.preparation import NotYetError
from userdata.contract.status import Status

EVERY_SECONDS = 1.0
MACHINE_SECONDS = 5.0
MOST_RUNS = 50


@dataclass
class News:
    """What one open page was told, for the runs that it follows."""

    account: Account
    runs: list[str]
    machine: Machine | None = None
    trouble: str = ""
    looked_at: float = float("-inf")
    is_sending: bool = False
    told: set[str] = field(default_factory=set)
    said: dict[str, str] = field(default_factory=dict)
    names: set[str] | None = None
    looked: dict[str, tuple[Status | None, bool]] = field(default_factory=dict)

    def come(self) -> list[str]:
        """The events since the last call. Nothing that AWS answers ends the stream: it goes on, and says so."""
        return [*self._of_the_kept(), *self._of_the_machine(), *self._of_the_runs()]

    def _of_the_kept(self) -> Iterator[str]:
        """What was pressed before the local cloud was there, once it is sent or refused."""
        self.is_sending = False
        if self.account.preparation:
            for one in [*self.account.preparation.kept]:
                if one.sent or one.refused:
                    yield from self._if_new(f"kept {one.number}", "kept", render("kept.html", kept=one))
                else:
                    self.is_sending = True

    def _of_the_machine(self) -> Iterator[str]:
        if time.monotonic() - self.looked_at < MACHINE_SECONDS:
            return
        self.looked_at = time.monotonic()
        try:
            self.machine, self.trouble = look(self.account), ""
        except NotYetError as error:
            self.trouble, self.looked_at = str(error), float("-inf")
        except CommandError as error:
            self.trouble = str(error)
        text = render("machine.html", machine=self.machine, trouble=self.trouble, account=self.account)
        yield from self._if_new("machine", "machine", text)
        if self.is_sending:  # or the runs of what was kept would appear beside it
            self.looked_at = float("-inf")
        elif self.machine and not self.trouble:
            yield from self._of_other_runs(self.machine.deployment)

    def _of_other_runs(self, deployment: Deployment) -> Iterator[str]:
        """Runs that came from elsewhere: from a terminal, or the deployed one, which an instance begins by itself."""
        try:
            found = run_names(self.account.s3, deployment.bucket)
            names = {name for name in found if RUN_NAME.fullmatch(name)}  # another would be trouble at each look
            deployed = known_run_id(deployment)
            if self.names is None:
                late = deployed in names and not see_run(self.account, deployment.bucket, str(deployed)).is_over
                self.names = names - {str(deployed)} if late else names
                yield _event("known", "From here on each run that appears is told.")
        except CommandError:
            return  # which the next look tells
        for name in sorted(names - self.names - {*self.runs}):
            self.runs.append(name)
            yield _event("appeared", name)
        self.names = names

    def _of_the_runs(self) -> Iterator[str]:
        if self.machine is None or self.trouble:
            return
        bucket = self.machine.deployment.bucket
        for run_id in [*self.runs]:
            try:
                # Each look at a run's images is a request that costs more: its status says when there is something new.
                now = (read_status(self.account.s3, bucket, run_id), self.machine.is_up)
                if self.looked.get(run_id) == now:
                    continue
                seen = see_run(self.account, bucket, run_id)
                self.looked[run_id] = now
            except CommandError as error:
                self.trouble, self.looked_at = str(error), float("-inf")
                return
            for picture in seen.pictures:
                if picture.address not in self.told:
                    self.told.add(picture.address)
                    yield _event("image", render("picture.html", picture=picture, job=seen.job))
            text = render("doing.html", seen=seen, needs_start=needs_start(seen, self.machine))
            yield from self._if_new(f"run {run_id}", "run", text)
            if seen.is_over:
                self.runs.remove(run_id)

    def _if_new(self, what: str, event: str, text: str) -> Iterator[str]:
        if self.said.get(what) != text:
            self.said[what] = text
            yield _event(event, text)


def needs_start(seen: RunSeen, machine: Machine | None) -> bool:
    """Whether the run waits for an instance that nobody starts."""
    return (seen.run.is_interrupted or not seen.is_over) and machine is not None and not machine.is_up


def _event(name: str, html: str) -> str:
    lines = "".join(f"data: {line}\n" for line in html.splitlines())
    return f"event: {name}\n{lines}\n"
