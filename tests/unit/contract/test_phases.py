"""The phases that boot and worker enter are those of status.json."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from scripts.command_line.results.watch import DOING
from userdata.boot.telling.run_status import RunStatus
from userdata.contract.bundle import BUNDLE
from userdata.contract.layout import RunKeys
from userdata.contract.status import PHASES, Status

ENTERS = ("phase", "enter")


def entered(folder: str) -> list[str]:
    """The phases that the code in `folder` enters: each is a literal, at its place."""
    calls = [
        node
        for file in sorted(Path(BUNDLE.root / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ENTERS
    ]
    return [str(call.args[0].value) for call in calls if call.args and isinstance(call.args[0], ast.Constant)]


def test_boot_and_worker_enter_every_phase_and_no_other() -> None:
    boots, workers = entered("boot"), entered("worker")
    # What a queued run is drawn with is fetched while the worker runs.
    assert sorted([*boots, *workers]) == sorted([*PHASES, "weights"])
    assert set(boots) == set(PHASES[: len(boots)])


def test_who_watches_a_run_is_told_what_each_phase_does() -> None:
    assert list(DOING) == list(PHASES)


def test_what_is_no_phase_cannot_be_entered() -> None:
    run = RunStatus(Status(run_id="a", instance_id="i"), RunKeys("a"))
    with pytest.raises(ValueError, match="'workers' is not a phase"):
        run.enter("workers")
