"""Takes the steps, one after the other. A step that fails leaves rows that say so, and the next step is tried."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.instance import GONE, deployed_run_id
from scripts.command_line.account.objects import read
from scripts.command_line.account.runs import Run, read_status
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.proof.account import Account, Look
from scripts.proof.place import STACK, Place
from scripts.proof.rows import Report, Row, Same
from scripts.proof.seen import Seen
from scripts.proof.step import Expected, Step
from scripts.proof.terminal import Finished, Terminal
from userdata.contract.layout import BOOTS
from userdata.contract.status import ENDED_EARLY

RUN_MINUTES = 30.0
OFF_MINUTES = 15.0
LAG = 60.0  # seconds
NOT_TRIED = "not tried"
OFF = ("stopped", *GONE)
SETTLED = ("stopped", "terminated", "gone")
FACTS = ".facts.txt"
ALARM = "AWS::CloudWatch::Alarm"


class Walk:
    """One walk through the steps. `emulated` passes over the rows that only AWS can fill."""

    def __init__(self, account: Account, place: Place, terminal: Terminal, report: Report, *, emulated: bool) -> None:
        self._account = account
        self._place = place
        self._terminal = terminal
        self._report = report
        self._emulated = emulated
        self._bucket = ""
        self._taken: set[str] = set()
        self._checks: dict[str, str] = {}

    def take(self, steps: Iterable[Step]) -> None:
        """Takes the steps. What AWS refuses, or never does, becomes a row."""
        chosen = list(steps)
        for number, step in enumerate(chosen, start=1):
            self._terminal.tell(f"{number}/{len(chosen)} {step.name}: {step.does}; {self._terminal.so_far()}")
            try:
                self._take(step)
                self._collect_facts()
            except CommandError as error:
                self._add(step, "the step", "goes through", str(error), "no")
            if any(row.same == "no" for row in self._report.rows if row.step == step.name):
                self._run("sd", "report", "--prompts", "--stack", STACK, "--to", str(self._report.folder))
            self._report.write()

    def _take(self, step: Step) -> None:
        before = self._account.look()
        words = self._words(before)
        why_not = self._why_not(step, before, words)
        if why_not:
            self._add(step, "the step", "is tried", f"{NOT_TRIED}: {why_not}", "-")
            return
        command = step.typed(self._place, **words)
        finished = self._run(*command)
        after = self._account.look()
        if after.deployment:
            self._bucket = after.deployment.outputs.get("ResultsBucket", self._bucket)
        if finished.status:
            self._add(step, f"`{' '.join(command[:2])}`", "succeeds", finished.reason, "no")
            return
        self._taken.add(step.name)
        began = time.monotonic()
        run = self._until(step, after)
        end = self._account.look()
        seconds = time.monotonic() - began
        seen = Seen(self._account, self._place, before, finished, after, end, self._bucket, run, seconds, self._checks)
        for expected in step.rows:
            self._compare(step, expected, seen)

    def _collect_facts(self) -> None:
        """Takes over what the boots have written beside their records about their machines."""
        if not self._bucket:
            return
        s3 = self._account.session.client("s3", config=RETRIES)
        with aws_errors_in_words(f"list the boots in {self._bucket}"):
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=BOOTS)
            keys = [one["Key"] for page in pages for one in page.get("Contents", []) if one["Key"].endswith(FACTS)]
        self._report.facts = [f"{key}\n{(read(s3, self._bucket, key) or b'').decode(errors='replace')}" for key in keys]

    def _words(self, look: Look) -> dict[str, str]:
        """What the account has made up, and the steps name."""
        alarm = self._account.stack_resource(ALARM) if look.state != "gone" else ""
        return {"alarm": alarm} if alarm else {}

    def _why_not(self, step: Step, before: Look, words: Mapping[str, str]) -> str:
        missing = [name for name in step.needs if name not in self._taken]
        if missing:
            return f"it needs the step {missing[0]}"
        if before.state == "gone" and not step.is_first:
            return "there is no stack"
        if step.is_deploy and not step.is_first and not before.can_be_deployed:
            return f"the stack is {before.state}"
        try:
            step.typed(self._place, **words)
        except KeyError as error:
            return f"{self._place.region} has no {error.args[0].replace('_', ' ')} for it"
        return "; ".join(self._blocking(step)) if step.checked else ""

    def _blocking(self, step: Step) -> list[str]:
        """What `sd doctor` says stands in the way."""
        machine = ("--model", "demo", "--instance-type", step.type_of(self._place))
        finished = self._run("sd", "doctor", "--json", *machine, *step.settings(self._place))
        try:
            document, _ = json.JSONDecoder().raw_decode(finished.output, finished.output.index("{"))
        except ValueError:
            return []  # the deploy will tell
        self._checks = {one["name"]: one["found"] for one in document["checks"]}
        blocking = [one for one in document["checks"] if one["blocks"] and one["state"] == "problem"]
        return [f"{one['name']}: {one['found']}" for one in blocking]

    def _until(self, step: Step, look: Look) -> Run | None:
        run = None
        if step.until in ("run over", "run over and instance off"):
            run = self._wait_for_run(look)
        if step.until in ("instance off", "run over and instance off"):
            self._terminal.wait(
                "the instance to be off",
                lambda: self._account.look().instance_state(look.instance_id) in SETTLED,
                minutes=OFF_MINUTES,
            )
        if step.until == "nothing billed":
            self._terminal.wait("all instances to be gone", lambda: not self._account.billed(), minutes=OFF_MINUTES)
        return run

    def _wait_for_run(self, look: Look) -> Run:
        """The deployed run, once it is over or its instance is off."""
        assert look.deployment
        run_id = deployed_run_id(look.deployment)
        if look.instance_state(look.instance_id) in ("stopping", "stopped"):
            started = self._run("sd", "start", "--stack", STACK)
            if started.status:
                raise CommandError(started.reason)
        began = time.monotonic()
        s3 = self._account.session.client("s3", config=RETRIES)

        def over() -> Run | None:
            # The state first: a run that ends between the two questions must not be taken for one that never began. And
            # not at once, because EC2 may call an instance stopped that was started a moment ago.
            is_off = self._account.look().instance_state(look.instance_id) in OFF and time.monotonic() > began + LAG
            status = read_status(s3, self._bucket, run_id)
            is_over = status is not None and status.phase in ("done", *ENDED_EARLY)
            return Run(run_id, status) if is_over or is_off else None

        return self._terminal.wait(f"the run {run_id}", over, minutes=RUN_MINUTES)

    def _compare(self, step: Step, row: Expected, seen: Seen) -> None:
        words = self._place.words()
        what = row.what.format_map(words)
        expected = (row.note if row.expected is None else row.expected).format_map(words)
        if row.only_aws and self._emulated:
            self._add(step, what, expected, "only AWS can tell", "-")
            return
        try:
            found = row.seen(seen)
        except CommandError as error:
            self._add(step, what, expected, str(error), "no")
            return
        same: Same = "-" if row.expected is None else "yes" if found == expected else "no"
        self._add(step, what, expected, found, same)

    def _run(self, *words: str) -> Finished:
        finished = self._terminal.run(*words)
        self._report.add_output(finished.command, finished.output)
        return finished

    def _add(self, step: Step, what: str, expected: str, seen: str, same: Same) -> None:
        row = Row(step.name, what, expected, seen, same)
        self._report.rows.append(row)
        self._terminal.tell(f"  {what}: {seen}" + (f" (expected: {expected})" if same == "no" else ""))
