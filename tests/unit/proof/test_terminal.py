"""What is typed, waited for and counted."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from scripts.command_line.terminal.command_error import CommandError
from scripts.proof.terminal import Finished, Meter, Terminal


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def pass_seconds(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "sleep", pass_seconds)
    return pass_seconds


def test_a_time_counts_whole_when_an_instance_was_billed_at_its_beginning_or_its_end(
    pass_time: Callable[[float], None],
) -> None:
    meter = Meter({"g4dn.xlarge": 0.6, "g6.xlarge": 0.9})
    pass_time(3600)
    meter.read([])
    assert meter.usd == 0
    pass_time(3600)
    meter.read(["g4dn.xlarge"])
    assert meter.usd == pytest.approx(0.6)
    pass_time(3600)
    meter.read(["g6.xlarge", "g4dn.xlarge"])
    assert meter.usd == pytest.approx(2.1)
    pass_time(3600)
    meter.read([])
    assert meter.usd == pytest.approx(3.6)


def test_waiting_ends_with_what_was_found_although_the_network_was_away(pass_time: Callable[[float], None]) -> None:
    answers: list[str | CommandError] = [CommandError("no network"), "", CommandError("no network"), "stopped"]

    def condition() -> str:
        answer = answers.pop(0)
        if isinstance(answer, CommandError):
            raise answer
        return answer

    assert Terminal(Meter({}), list, every=5).wait("an end", condition, minutes=1) == "stopped"


def test_waiting_ends_at_its_deadline_with_the_last_error(pass_time: Callable[[float], None]) -> None:
    def condition() -> None:
        raise CommandError("no network")

    with pytest.raises(CommandError, match=r"^Waited 2 min for an end, in vain. The last answer: no network$"):
        Terminal(Meter({}), list, every=5).wait("an end", condition, minutes=2)
    assert time.monotonic() - 1000 == pytest.approx(120, abs=5)


EVENT = "S | 0/3 | 9:57 AM | UPDATE_FAILED | AWS::EC2::Instance | Gpu (X) The instance does not exist\n"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (f"{EVENT}S failed to deploy\n", "Gpu (X) The instance does not exist"),
        ("one\nsd: There is no stack.\n\n", "sd: There is no stack."),
        ("", "exit status 3"),
    ],
)
def test_a_failed_command_says_why(output: str, reason: str) -> None:
    assert Finished("cdk deploy", 3, output).reason == reason
