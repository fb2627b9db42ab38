"""Every input that can be looked at is, before anything is made, uploaded or paid for, and taken by its content."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pytest
from botocore.model import OperationModel
from PIL import Image
from rich.console import Console

from scripts.command_line.deploying.inputs import find_inputs
from scripts.command_line.terminal.command_error import CommandError
from scripts.local.aws.spot_prices import spot_prices_of_the_table
from tests.unit.command_line.conftest import Account
from tests.unit.command_line.deploying import test_deploy
from tests.unit.command_line.deploying.test_deploy import Deploys, deploys
from tests.unit.job.image_files import encoded

__all__ = ["deploys"]
READS = ("Get", "Describe", "List", "Head")


def calls_of(account: Account) -> list[str]:
    """The calls of AWS's operations from now on."""
    calls: list[str] = []

    def note(model: OperationModel, **_: object) -> None:
        calls.append(model.name)

    account.session.events.register_first("before-call", note)
    return calls


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_input_that_the_worker_would_refuse_is_refused_before_any_change(
    account: Account, deploys: Deploys, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.deploy()
    Image.new("RGB", (4096, 64)).save(folder / "wide.png")
    Image.new("RGB", (64, 64)).save(folder / "small.png")
    Image.new("RGB", (256, 256)).save(folder / "square.png")
    Image.new("RGB", (64, 64)).save(folder / "scan.png", format="TIFF")
    (folder / "narrow.txt").write_text("a\nb --width 128\n")
    (folder / "many.txt").write_text("a\n" * 10_001)
    (folder / "few.txt").write_text("a --n_iter 1000 --batch_size 16\n" * 7)
    (folder / "options.md").write_text("a tree\na horse --stepz 7\n")
    (folder / "large.txt").write_text("a\n" * 20)
    account.put("inputs/cat", b"<html>")
    account.put("inputs/few.txt", (folder / "few.txt").read_bytes())
    spot = ("spot=true", "max_price=0.01")
    cases: list[tuple[dict[str, str], tuple[str, ...], str]] = [
        ({"InitImage": "wide.png"}, (), "has 4096 × 64 pixels, .* Give their size"),
        ({"InitImage": "small.png", "Watermark": "on"}, (), "Watermark is on, but images of 64 x 64 pixels"),
        (
            {"InitImage": "square.png", "Watermark": "on", "PromptFile": "narrow.txt"},
            (),
            "Line 2: .* 128 x 256 pixels",
        ),
        ({"InitImage": "scan.png"}, (), r"it is TIFF, or a camera's raw file\). Convert it"),
        ({"InitImage": "horse.png"}, (), "must be a file here or the key of an object"),
        ({"InitImage": "inputs/cat"}, (), "it is a web page"),
        (
            {"Model": "sdxl-base", "Upscale": "2", "InstanceType": "g4dn.xlarge", "Precision": "full"},
            (),
            "Precision=full and a second pass of that size needs 24.3 GiB .* choose at least g6e.xlarge",
        ),
        ({"InitMask": "square.png"}, (), "InitMask is given without InitImage"),
        ({"InitImage": "small.png", "InitMask": "square.png"}, (), "InitMask is 'square.png', but it has 256 × 256"),
        ({"InitImage": "small.png", "InitMask": "small.png"}, (), "but it is nowhere white"),
        ({"InitImage": "small.png", "InitMask": "narrow.txt"}, (), "InitMask is 'narrow.txt', but must be a PNG"),
        (
            {"InitImage": "small.png", "InitMask": "m.png"},
            (),
            "InitMask is 'm.png', but must be a file here or the key",
        ),
        ({"PromptFile": "many.txt"}, (), "has more than 10,000 prompts"),
        ({"PromptFile": "few.txt"}, (), "makes 112,000 images, but a run may have 100,000"),
        ({"PromptFile": "inputs/few.txt"}, (), "makes 112,000 images"),
        ({"PromptFile": "options.md"}, (), "Line 2: --stepz is no option"),
        ({"Lora": "inputs/style.safetensors"}, (), "There is no object s3://.*/inputs/style.safetensors"),
        ({"Lora": "style.safetensors"}, (), "there is no such file here"),
        ({"InitImage": "small.png", "Height": "9999"}, (), "Height is '9999', but must be"),
        ({"InitImage": "small.png"}, spot, "max_price is 0.01, and an hour costs .* EC2 launches no instance"),
    ]
    calls = calls_of(account)
    with spot_prices_of_the_table():
        for given, context, why in cases:
            with pytest.raises(CommandError, match=why) as refusal:
                test_deploy.run(account, deploys, given, context=context)
            by_a_check = str(refusal.value).startswith("Nothing was deployed.")
            assert refusal.value.exit_status == (1 if by_a_check else 2), given
    monkeypatch.setattr("scripts.command_line.deploying.inputs.MOST_BYTES", {"PromptFile": 10})
    with pytest.raises(CommandError, match="has 40 bytes, but may have 10"):
        test_deploy.run(account, deploys, {"PromptFile": "large.txt"})
    with pytest.raises(CommandError, match="inputs/few.txt in .* has 224 bytes, but may have 10"):
        test_deploy.run(account, deploys, {"PromptFile": "inputs/few.txt"})
    assert [call for call in calls if not call.startswith(READS)] == []
    assert deploys.calls == []


def test_an_input_that_stands_is_looked_at_again(account: Account, deploys: Deploys) -> None:
    """It may be gone, or be another's, by the time that another parameter changes."""
    account.deploy(InitImage="inputs/horse.png", PromptFile="inputs/prompts.txt")
    account.put("inputs/horse.png", encoded(Image.new("RGB", (64, 64)), "PNG"))
    with pytest.raises(CommandError, match=r"PromptFile is 'inputs/prompts.txt', but must be"):
        test_deploy.run(account, deploys, {"Seed": "7"})
    account.put("inputs/prompts.txt", b"a horse --strength 0.01")
    with pytest.raises(CommandError, match="Line 1: .*leave no step to do"):
        test_deploy.run(account, deploys, {"Steps": "50"})
    assert deploys.calls == []
    test_deploy.run(account, deploys, {"Steps": "50", "PromptFile": ""})
    assert deploys.calls == [({"Steps": "50", "PromptFile": ""}, {})]


def test_what_belongs_to_an_older_input_does_not_stay_with_a_new_one(
    account: Account, deploys: Deploys, folder: Path
) -> None:
    standing = {
        "InitImage": "inputs/horse.png",
        "InitMask": "inputs/mask.png",
        "PromptFile": "inputs/prompts.txt",
        "Prompt": "a horse",
    }
    console = Console(file=io.StringIO(), width=200)

    def changed(**given: str) -> dict[str, str]:
        account.change(standing)
        test_deploy.run(account, deploys, given, console=console)
        return {name: value for name, value in deploys.calls.pop()[0].items() if name not in given}

    account.deploy(**standing)
    account.put("inputs/horse.png", encoded(Image.new("RGB", (64, 64)), "PNG"))
    account.put("inputs/mask.png", encoded(Image.linear_gradient("L").resize((64, 64)), "PNG"))
    account.put("inputs/prompts.txt", b"a horse")
    Image.new("RGB", (128, 64)).save(folder / "wide.png")
    Image.linear_gradient("L").resize((128, 64)).save(folder / "wide mask.png")
    assert changed(InitImage="wide.png") == changed(InitImage="") == {"InitMask": ""}
    assert changed(InitImage="inputs/horse.png") == changed(InitImage="wide.png", InitMask="wide mask.png") == {}
    assert changed(Prompt="a horse") == {"PromptFile": ""}
    assert changed(Prompt="a tree", PromptFile="inputs/prompts.txt") == changed(Seed="8") == {}
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert (said.count("The mask inputs/mask.png is left out"), said.count("inputs/prompts.txt is left out")) == (2, 1)


def test_a_file_is_taken_by_its_content_whatever_it_is_called(account: Account, folder: Path) -> None:
    picture = Image.new("RGB", (64, 64))
    files = {
        "photo.jfif": (encoded(picture, "JPEG"), "jpg"),
        "PHOTO.JPG": (encoded(picture, "JPEG"), "JPG"),  # as before, so that the run has the name that it had
        "photo": (encoded(picture, "WEBP"), "webp"),
        "photo.jpg": (encoded(picture, "PNG"), "png"),
    }
    for name, (content, ending) in files.items():
        (folder / name).write_bytes(content)
        found = find_inputs(account.session, None, {"InitImage": name})["InitImage"]
        assert found.key.rpartition(".")[2] == ending, name
    (folder / "prompts.md").write_text("a horse")
    assert find_inputs(account.session, None, {"PromptFile": "prompts.md"})["PromptFile"].key.endswith(".txt")


def test_a_file_is_uploaded_behind_the_last_check(account: Account, deploys: Deploys, folder: Path) -> None:
    account.deploy()
    Image.new("RGBA", (64, 64), (0, 255, 0, 0)).save(folder / "horse.png")
    calls = calls_of(account)

    def cdk(session: object, parameters: Mapping[str, str], context: Mapping[str, str]) -> None:
        calls.append("cdk")
        deploys(session, parameters, context)

    console = Console(file=io.StringIO(), width=200)
    test_deploy.run(account, cdk, {"InitImage": "horse.png"}, console=console)
    assert "transparent in places: they are white" in console.file.getvalue()  # type: ignore[attr-defined]
    # The deploy itself looks whether the stack is stuck.
    assert calls[calls.index("PutObject") : calls.index("cdk")] == ["PutObject", "DescribeStacks"]
