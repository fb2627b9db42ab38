"""Objects of an earlier version are read; those of a later one are read or refused in a sentence, never a traceback."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scripts.command_line.main import app
from scripts.command_line.results.replay import read_record
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.conftest import Account
from tests.upgrades.kept import NAMES, Kept, kept
from userdata.contract.version import VERSION
from userdata.job.job_document import read_job
from userdata.worker.by_hand.replay import check_replay, differences

Change = Callable[[dict[str, Any]], dict[str, Any]]
# What a later version may write: more, another schema, words that this one does not know.
LATER: dict[str, Change] = {
    "more": lambda document: {**document, "of_tomorrow": {"deep": [1]}, "phases_of_tomorrow": None},
    "schema": lambda document: {**document, "schema": 2},
    "phase": lambda document: {**document, "schema": 2, "phase": "dreaming", "phases": [{"phase": 1}], "cost": "free"},
}


def sd(*words: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(app, [*words, "--region", "us-east-1"])
    assert isinstance(outcome.exception, SystemExit | CommandError | None), outcome.exception
    return outcome.exit_code, re.sub(r"\s+", " ", outcome.output)


def lay(account: Account, objects: dict[str, bytes]) -> str:
    """The objects in the stack's bucket, and their boot as the instance's."""
    (booted, *_) = {key.split("/")[1] for key in objects if key.startswith("boots/")}
    for key, content in objects.items():
        account.put(key.replace(booted, account.instance_id), content)
    return booted


@pytest.mark.parametrize("name", NAMES)
def test_each_command_reads_what_an_earlier_version_wrote(account: Account, tmp_path: Path, name: str) -> None:
    old = kept(name)
    account.deploy(**old.parameters)
    lay(account, old.objects)
    finished, unfinished = old.finished, old.unfinished

    status, said = sd("results", "--to", str(tmp_path), "--zip", "--csv")
    assert status == 0
    assert re.search(rf"{finished} \S+ \S+ done 2 of 2", said)
    assert re.search(rf"{unfinished} \S+ \S+ \w+ 2 of 3", said)
    assert {str(file.relative_to(tmp_path)): file.read_bytes() for file in tmp_path.rglob("samples/*.png")} == {
        key.removeprefix("runs/"): content
        for key, content in old.objects.items()
        if "/samples/" in key and "png" in key
    }
    status, said = sd("status", "--timeline")
    assert (status, said.count("Boot of ")) == (0, 2)
    assert "2 of 3" in said
    status, said = sd("cost", "--actual")
    assert (status, finished in said, unfinished in said) == (0, True, True)
    status, said = sd("report", "--to", str(tmp_path))
    assert status == 0
    (report,) = tmp_path.glob("sd-report-*.txt")
    assert '"phase": "generating"' in report.read_text("utf-8")
    assert "could not be read" not in report.read_text("utf-8")

    job = read_job(old.objects[f"runs/{unfinished}/job.json"])
    assert job.name == unfinished, "a worker of this version goes on with the same run"
    for image in (tmp_path / finished).rglob("samples/*.png"):
        record = read_record(image)
        check_replay(record, None)
        assert record.drawn_with
        before = record.versions.get("sd-on-ec2", "0.1.0 or earlier")
        assert differences(record, record.drawn_with)[0] == f"sd-on-ec2 was {before}, is {VERSION}"


@pytest.mark.parametrize("change", LATER.values(), ids=LATER)
def test_what_a_later_version_wrote_costs_one_document_at_most(
    account: Account, tmp_path: Path, change: Change
) -> None:
    """Each JSON of the bucket is a later version's, and every image arrives all the same."""
    last: Kept = kept(NAMES[0])
    account.deploy(**last.parameters)
    lay(account, {key: later(content, change) for key, content in last.objects.items()})
    assert sd("results", "--to", str(tmp_path), "--csv")[0] == 0
    assert len(list(tmp_path.rglob("samples/*.png"))) == 4
    for words in (("status",), ("status", "--timeline"), ("cost", "--actual")):
        sd(*words)
    with suppress(ValueError):  # in a sentence, which the worker tells as why it does not begin
        read_job((tmp_path / last.unfinished / "job.json").read_bytes())


def later(content: bytes, change: Change) -> bytes:
    try:
        return json.dumps(change(json.loads(content))).encode()
    except ValueError:
        return content
