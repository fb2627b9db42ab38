"""With `--json` a command prints one document of its schema and nothing else, also where it fails."""

from __future__ import annotations

import functools
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image

from scripts.command_line import main
from scripts.command_line.deploying import deploy as deploying
from scripts.command_line.documents import machine, money, runs
from scripts.command_line.documents.document import Document, ErrorDocument
from tests.unit.command_line.batches.conftest import RUN, Somebody, share
from tests.unit.command_line.conftest import Account
from tests.unit.page.records import records
from userdata.contract.layout import RunKeys
from userdata.job.job import Job
from userdata.record.image_metadata import png_with_record

DRAWN = Job(prompt="a lake", ddim_steps=5).name
# In this order one account goes through all of them.
COMMANDS: dict[str, type[Document]] = {
    "models": money.ModelsDocument,
    "cost": money.CostDocument,
    "cost --actual": money.ActualCostDocument,
    "doctor": machine.DoctorDocument,
    "zones g6.xlarge": machine.ZonesDocument,
    "quota status": machine.QuotaDocument,
    "status --timeline": machine.StatusDocument,
    "hold": machine.HoldDocument,
    "hold 1h": machine.HoldDocument,
    "report --to reports": machine.ReportDocument,
    "results --list": runs.ResultsDocument,
    "results": runs.ResultsDocument,
    "gallery --no-open": runs.GalleryDocument,
    "logs a-horse": runs.LogDocument,
    "watch": runs.BatchDocument,
    "watch a-horse": runs.RunDocument,
    "compare a-horse cats --images": runs.CompareDocument,
    "generate --steps 5 'a lake'": runs.DrawnDocument,
    "pause cats": runs.BatchDocument,
    "resume cats": runs.BatchDocument,
    "retry cats": runs.BatchDocument,
    "cancel cats --yes": runs.BatchDocument,
    "batch prompts.txt --max-usd 5 --yes": runs.BatchDocument,
    "deploy --yes": machine.DeployDocument,
    "start": machine.DeployDocument,
    "stop": machine.StopDocument,
    "teardown --audit-only": machine.TeardownDocument,
}
WITHOUT = {"connect", "replay", "quota request", "studio"}


@pytest.fixture
def somebody(account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Somebody:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setattr("boto3.Session", lambda **_: account.session)
    monkeypatch.setattr(deploying, "deploy", functools.partial(deploying.deploy, cdk=lambda *_: None))
    somebody = Somebody(account)
    somebody.ask()
    somebody.draw(0)
    somebody.fail(1)
    somebody.put(somebody.keys.machine("i-1"), share())
    account.put_run("a-horse-0123456789", images=3)
    account.put(RunKeys("a-horse-0123456789").log, "one\nzwölf \x1b[31m\n".encode())
    (record,) = records(1, run_id="a-horse-0123456789")
    account.put(RunKeys("a-horse-0123456789").image(0), png_with_record(Image.new("RGB", (8, 8)), record))
    account.put(RunKeys("a-horse-0123456789").image_metadata(0), record.to_json())
    account.put_run(DRAWN, images=6)
    Path("prompts.txt").write_text("a cat\n")
    return somebody


def typed(line: str, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    patch.setattr("sys.argv", ["sd", *shlex.split(line)])
    try:
        main.main()
        status: Any = 0
    except SystemExit as ended:
        status = ended.code or 0
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_every_command_prints_its_document_alone(
    somebody: Somebody, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for line, kind in COMMANDS.items():
        status, out, err = typed(f"{line} --json", monkeypatch, capsys)
        try:
            document = kind.model_validate_json(out)
        except ValueError as error:
            pytest.fail(f"{line}: {status} {error} {out} {err}")
        assert json.loads(out)["schema"] == 1
        assert out == document.as_text() + "\n", line
        assert status == 0 or line in ("doctor",), f"{line}: {err}"


def test_every_command_that_reads_or_makes_something_has_it() -> None:
    group: Any = typer.main.get_command(main.app)
    names = {" ".join(line.split()[:2]) if line.startswith("quota") else line.split()[0] for line in COMMANDS}
    for name, command in group.commands.items():
        for spoken, one in {f"{name} {n}": c for n, c in getattr(command, "commands", {name: command}).items()}.items():
            spoken = spoken.removeprefix(f"{name} {name}") or name
            has_it = any("--json" in option.opts for option in one.params)
            assert has_it == (spoken in names), spoken
            assert has_it or spoken in WITHOUT


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("logs nothing --json", 1, "There is no run nothing."),
        ("hold 1x --json", 2, "The hold is '1x', but must be hours and minutes"),
        ("status --json --no-such-option", 2, "No such option: --no-such-option"),
        ("watch --json", 1, "Could not"),
    ],
)
def test_a_failure_is_a_document_and_a_sentence(
    somebody: Somebody,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    status: int,
    said: str,
) -> None:
    if said == "Could not":
        somebody.account.s3.delete_object(Bucket=somebody.account.bucket, Key=RunKeys(RUN).batch)
        said = "There is no batch"
    ended, out, err = typed(line, monkeypatch, capsys)
    error = ErrorDocument.model_validate_json(out).error
    assert (ended, error.exit_code) == (status, status)
    assert error.message.startswith(said)
    assert f"sd: {said}" in err


def test_a_failure_behind_the_document_prints_no_second_one(
    somebody: Somebody, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    somebody.account.put("runs/a-horse-0123456789/odd\x1b.png", b"")
    status, out, err = typed("results a-horse --json", monkeypatch, capsys)
    found = runs.ResultsDocument.model_validate_json(out)
    assert status == 1
    assert found.download
    assert [one.key for one in found.download.left_out] == ["runs/a-horse-0123456789/odd\x1b.png"]
    assert "1 object was not downloaded" in err


def test_without_json_a_mistake_is_told_as_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = typed("status --no-such-option -- --json", monkeypatch, capsys)
    assert (status, out) == (2, "")
    assert "No such option: --no-such-option" in err
