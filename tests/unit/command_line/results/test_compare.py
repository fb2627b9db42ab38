"""What differs between two runs or images, and nothing else; one hostile object costs one object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from scripts.command_line.main import app
from tests.unit.command_line.conftest import Account
from userdata.contract.layout import RunKeys
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.record.drawn_with import DrawnWith
from userdata.record.image_metadata import describe_image, png_with_record

ONE, OTHER = "a-horse-0000000001", "a-horse-0000000002"
PROMPT = "a horse\x1b[31m [bold]"


def png(seed: int, *, steps: int = 2, spot: int = 0) -> tuple[bytes, bytes]:
    """A PNG of 8 by 8 pixels, the first of which has `spot` more of red, and its JSON."""
    job = Job(model="tiny", prompt="a horse", H=64, W=64, ddim_steps=steps, seed=seed)
    drawn = DrawnWith(indices=[0], execution="eager", precision="float32", device="cpu")
    record = describe_image(
        job, image_requests(job), 0, run_id=ONE, seconds=1, drawn_with=drawn, versions={"diffusers": "1"}
    )
    picture = Image.new("RGB", (8, 8), (100, 100, 100))
    picture.putpixel((0, 0), (100 + spot, 100, 100))
    return png_with_record(picture, record), record.to_json()


def report(kind: str, usd: float) -> bytes:
    cost = {"usd": usd, "usd_per_image": usd / 2, "images": 2, "attempts": []}
    images = [{"file": "00000.png", "seed": 1, "seconds": 2.5}]
    document: dict[str, Any] = {"run_id": "a", "instance_id": "i", "instance_type": kind, "resumed": False}
    document |= {"phases": [], "images": images, "images_flagged": 0, "gpu": None, "versions": {"torch": "2"}}
    return json.dumps({**document, "cost": cost}).encode()


@pytest.fixture
def runs(account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setattr("boto3.Session", lambda **_: account.session)
    account.deploy()
    for run_id, steps, spot in ((ONE, 10, 0), (OTHER, 20, 7)):
        keys = RunKeys(run_id)
        account.put(keys.job, json.dumps({"prompt": PROMPT, "ddim_steps": steps, "seed": 3}).encode())
        account.put(keys.report, report("g6.xlarge", steps / 100))
        content, record = png(3, steps=steps, spot=spot)
        account.put(keys.image(0), content)
        account.put(keys.image_metadata(0), record)
    return account


def compared(*words: str) -> str:
    outcome = CliRunner().invoke(app, ["compare", *words], env={"COLUMNS": "80"})
    if outcome.exception:
        raise outcome.exception
    return outcome.stdout


def test_two_runs_show_only_what_differs(runs: Account) -> None:
    said = compared(ONE, OTHER, "--images")
    rows = {line.split("  ")[0].strip() for line in said.splitlines()}
    assert {"job.ddim_steps", "dollars.the run", "dollars.an image"} <= rows
    assert "prompt" not in said
    assert "machine.type" not in said
    assert "00000.png: 8x8, 98.43% of the pixels are equal; the largest difference" in said
    document = json.loads(compared(ONE, OTHER, "--images", "--json"))
    assert {"field": "job.ddim_steps", "values": ["10", "20"]} in document["differ"]
    assert document["images"] == [
        {"name": "00000.png", "sizes": ["8x8", "8x8"], "equal_share": 63 / 64, "largest_difference": 7}
    ]


def test_an_image_of_a_run_and_a_file_are_compared(runs: Account, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(png(3, steps=10)[0])
    said = compared(f"{ONE}/0", str(tmp_path / "mine.png"), "--images")
    assert "the image: 8x8, every pixel is equal." in said
    assert " 0 differ" in said


def test_two_files_ask_no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boto3.Session", lambda **_: pytest.fail("AWS is asked"))
    for name, seed in (("a.png", 1), ("b.png", 2)):
        (tmp_path / name).write_bytes(png(seed)[0])
    assert "image.seed" in compared(str(tmp_path / "a.png"), str(tmp_path / "b.png"))


def test_what_is_hostile_costs_itself_alone(runs: Account) -> None:
    runs.put(RunKeys(OTHER).job, b"[" * 100_000)
    runs.put(RunKeys(OTHER).image(0), b"\x89PNG no more")
    runs.put(RunKeys(OTHER).report, b"{}")
    said = compared(ONE, OTHER, "--images")
    assert "\x1b" not in said
    assert "[bold]" in said, "the markup is text"
    for what in ("its job", "its report", "00000.png"):
        assert f"{OTHER}: {what} cannot be read" in said
    assert "00000.png: 8x8 and unreadable, so that no pixels are compared." in said


@pytest.mark.parametrize("name", [f"{ONE}/9", f"{ONE}/x", "cows", f"{ONE}/../{OTHER}"])
def test_a_name_of_nothing_is_refused(runs: Account, name: str) -> None:
    outcome = CliRunner().invoke(app, ["compare", name, OTHER])
    assert "no image" in str(outcome.exception) or "There is no run" in str(outcome.exception)
