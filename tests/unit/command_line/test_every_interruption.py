"""Every command of `sd`, interrupted at some moment: one sentence that is true, and nothing left behind here."""

from __future__ import annotations

import functools
import itertools
import os
import random
import re
import signal
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import typer

from scripts.command_line import main, watch_command
from scripts.command_line.deploying import deploy as deploying
from scripts.command_line.ending import teardown as tearing
from scripts.command_line.generating import generate as generating
from tests.unit.command_line.batches.conftest import RUN, Somebody
from tests.unit.command_line.conftest import Account
from tests.upgrades.kept import NAMES, kept

NOTHING = "sd: Interrupted; nothing was changed."
# What changes something in AWS that a person must know of, by the first word of its operation.
CHANGES = re.compile(r"(Put|Start|Stop|Terminate|Create|Delete|Send|Modify|Request|Set|Cancel|Run|Upload)[A-Z]")
QUICK = ("--model", "tiny", "--yes")
COMMANDS: dict[str, tuple[str, ...]] = {
    "batch": ("batch", "prompts.txt", "--model", "tiny", "--max-usd", "5", "--yes"),
    "cancel": ("cancel", RUN, "--yes"),
    "compare": ("compare", "a-horse", RUN, "--images"),
    "connect": ("connect",),
    "cost": ("cost", "--actual"),
    "deploy": ("deploy", "a cat", *QUICK),
    "deploy --wait": ("deploy", "a cat", "--wait", *QUICK),
    "doctor": ("doctor",),
    "gallery": ("gallery", "--full", "--no-open"),
    "gallery --share": ("gallery", "--share", "1", "a-horse"),
    "generate": ("generate", "a lake", "--hold", "10m"),
    "hold": ("hold", "1h"),
    "logs": ("logs", "a-horse"),
    "pause": ("pause", RUN),
    "quota request": ("quota", "request", "--vcpus", "64", "--yes"),
    "quota status": ("quota", "status"),
    "replay": ("replay", "image.png", "--deploy", "--yes"),
    "report": ("report", "--to", "reports"),
    "results": ("results",),
    "results --zip": ("results", "--zip", "--csv", "--to", "zipped"),
    "resume": ("resume", RUN),
    "retry": ("retry", RUN),
    "start": ("start",),
    "status": ("status", "--timeline"),
    "stop": ("stop",),
    "teardown": ("teardown", "--yes"),
    "watch": ("watch", RUN),
    "zones": ("zones",),
}
NUMBERS = (signal.SIGINT, signal.SIGTERM)
AGAIN = 50  # events, of which no command needs as many once it is interrupted


@dataclass
class Moment:
    """Sends the signal at the `at`-th event: each call of AWS has two, one before it and one after it."""

    at: int
    number: signal.Signals
    seen: int = 0
    changed: list[str] = field(default_factory=list)
    # Some commands ask two things at a time, and two threads that count at once pass over a number.
    counting: threading.Lock = field(default_factory=threading.Lock)

    def come(self, what: str = "") -> None:
        if what:
            self.changed.append(what)
        with self.counting:
            self.seen += 1
            # Python drops what is raised within a destructor, as moto's files have one: then a person presses again.
            is_now = self.seen >= self.at > 0 and (self.seen - self.at) % AGAIN == 0
        if is_now:
            os.kill(os.getpid(), self.number)


class Person:
    def __init__(self, somebody: Somebody, patch: pytest.MonkeyPatch) -> None:
        self.account = somebody.account
        self.moment = Moment(0, signal.SIGINT)
        events = self.account.session.events
        events.register_first("before-call", lambda **_: self.moment.come())
        events.register_first("after-call", lambda model, **_: self._called(model.name))
        patch.setattr("os.execvp", lambda *_: None)  # the shell that `connect` becomes
        patch.setattr("boto3.Session", lambda **_: self.account.session)
        for module in (deploying, watch_command, generating):
            patch.setattr(module, "POLL_SECONDS", 0.01)
        patch.setattr(deploying, "deploy", functools.partial(deploying.deploy, cdk=self._runs_cdk))
        patch.setattr(tearing, "teardown", functools.partial(tearing.teardown, destroy=self._runs_cdk))

    def _called(self, operation: str) -> None:
        self.moment.come(operation if CHANGES.match(operation) else "")

    def _runs_cdk(self, *_: object) -> None:
        self.moment.come()
        self.moment.come("cdk")

    def type(self, *words: str, patch: pytest.MonkeyPatch) -> int | None:
        patch.setattr("sys.argv", ["sd", *words])
        try:
            main.main()
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else 0
        return 0


@pytest.fixture
def person(account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Person:
    (tmp_path / "here").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    somebody = Somebody(account)
    somebody.ask()
    somebody.draw(0)
    somebody.fail(1)
    account.put_run("a-horse-0123456789", images=3)
    Path("prompts.txt").write_text("a cat\n")
    last = kept(NAMES[0])
    Path("image.png").write_bytes(last.objects[f"runs/{last.finished}/txt2img-samples/samples/00001.png"])
    return Person(somebody, monkeypatch)


def test_every_command_is_here() -> None:
    group: Any = typer.main.get_command(main.app)
    words = {name for name, one in group.commands.items() if not hasattr(one, "commands")}
    words |= {f"{name} {below}" for name, one in group.commands.items() for below in getattr(one, "commands", {})}
    others = {"models", "studio"}  # the one asks nothing and changes nothing, the other becomes another program
    assert words - others <= COMMANDS.keys()


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))])
def test_the_sentence_is_true_and_nothing_is_left(
    person: Person,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    seed: int,
) -> None:
    """At one moment of each command, which the seed decides."""
    draw = random.Random(seed)
    problems: list[str] = []
    for command, number in zip(COMMANDS, itertools.cycle(NUMBERS), strict=False):
        problems += interrupted(person, command, draw.randint(1, 24), number, monkeypatch, capsys, tmp_path)
    assert not problems, "\n".join(problems)


def interrupted(
    person: Person,
    command: str,
    at: int,
    number: signal.Signals,
    patch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Iterator[str]:
    """What is wrong when the command is interrupted at that moment, or at an earlier one when it ends before."""
    children = {*psutil.Process().children()}
    while at:
        person.moment = Moment(at, number)
        status = person.type(*COMMANDS[command], patch=patch)
        said = capsys.readouterr().err
        if person.moment.seen >= at:
            break
        at = min(at // 2, person.moment.seen)
    where = f"{command}, {number.name} at {at}, after {person.moment.changed}"
    told = [line for line in said.splitlines() if line.startswith("sd: ")]
    if status != 128 + number or len(told) != 1 or "Traceback" in said:
        yield f"{where}: exit status {status}, {said!r}"
    elif person.moment.changed and told == [NOTHING]:
        yield f"{where}: {told}"
    left = [*(tmp_path / "temporary").iterdir(), *(tmp_path / "here").rglob(".*")]
    left += [path for path in (tmp_path / "here").rglob("*") if "unfinished" in path.name or path.suffix == ".part"]
    # One of an earlier test may end meanwhile.
    if left or (new := {*psutil.Process().children()} - children):
        yield f"{where}: left {left or new}"
