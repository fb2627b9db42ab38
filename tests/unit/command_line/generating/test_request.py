"""What is drawn for the options that were given, and what is refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.generating.conftest import Person
from userdata.job.job import Job


def drawn(person: Person) -> Job:
    (run_id,) = person.sent()
    job = person.job(run_id)
    assert job.name == run_id, "the worker finds a run by the name of its job"
    return job


def test_options_that_are_not_given_are_not_those_of_the_deployed_job(person: Person) -> None:
    person.deploy(Prompt="an old one", Seed="7", Steps="20", Samples="4", Height="640", RunId="old", Lora="")
    person.generate(Prompt="a tree", Samples="1")
    assert drawn(person) == Job(prompt="a tree", n_samples=1)


def test_the_model_and_what_is_done_with_every_image_stay_as_deployed(person: Person) -> None:
    person.deploy(Model="tiny", Precision="full", SafetyChecker="withhold", Watermark="off")
    person.generate(Prompt="a tree")
    wanted = Job(prompt="a tree", model="tiny", precision="full", safety_checker="withhold", watermark="off")
    assert drawn(person) == wanted


def test_another_model_comes_with_its_own_precision_and_size(person: Person) -> None:
    person.deploy(Model="demo", Precision="full", SafetyChecker="withhold")
    person.generate(Prompt="a tree", Model="tiny")
    assert drawn(person) == Job(prompt="a tree", model="tiny", safety_checker="withhold")


def test_the_images_have_the_size_of_a_file_of_this_machine_which_is_uploaded(person: Person) -> None:
    person.deploy()
    Image.new("RGB", (200, 136)).save("horse.png")
    Image.linear_gradient("L").resize((200, 136)).save("mask.png")
    person.generate(Prompt="a tree", InitImage="horse.png", InitMask="mask.png")
    job = drawn(person)
    assert (job.W, job.H) == (192, 128)
    assert {job.init_img, job.init_mask} <= person.objects()


def test_a_drawn_seed_is_another_run_each_time(person: Person) -> None:
    person.deploy()
    person.generate(Prompt="a tree", Seed="-1")
    seed = drawn(person).seed
    assert seed >= 0
    assert f"Seed is -1: {seed} is drawn." in person.said
    assert f"--seed={seed + 6} " in person.said
    person.generate(Prompt="a tree", Seed="-1")
    assert len(set(person.sent())) == 2


def test_a_file_of_prompts_needs_no_prompt(person: Person) -> None:
    person.deploy()
    Path("prompts.txt").write_text("a horse\na [red] tree, {oak|elm} --seed 7\n")
    person.generate(PromptFile="prompts.txt", Sampler="Euler a")
    assert "Prompt has {oak|elm}: other programs would compose, choose or replace" in person.said
    assert str(drawn(person).sampler) == "euler_a"
    assert drawn(person).from_file in person.objects()


def refused(person: Person, why: str, **given: str) -> None:
    with pytest.raises(CommandError, match=why):
        person.generate(**given)
    assert person.sent() == []
    assert not person.account.bucket or person.objects() == set()


def test_without_a_stack_a_machine_or_a_queue_the_way_out_is_told(person: Person) -> None:
    refused(person, "There is no stack SdOnEc2", Prompt="a")
    queue = person.account.outputs.pop("InteractiveQueue")
    person.deploy()
    no_queue = r"earlier version, and has no queue\. `sd deploy` adds it; the disk stays\."
    refused(person, no_queue, Prompt="a")
    person.account.outputs["InteractiveQueue"] = queue
    person.account.replace_instance()
    person.account.ec2.terminate_instances(InstanceIds=[person.account.instance_id])
    refused(
        person,
        r"nothing can be drawn on it\. Nothing was sent\. `sd deploy` with the same options makes a new one",
        Prompt="a",
    )


REFUSED: list[tuple[dict[str, str], str]] = [
    ({}, r"There is no prompt\. Give one: `sd generate"),
    ({"Prompt": " "}, "Prompt is ' ', but must be"),
    ({"Prompt": "a", "Steps": "0"}, "Steps is '0', but must be"),
    ({"Prompt": "a", "Sampler": "ddim", "Eta": "9"}, "Eta is '9', but must be"),
    ({"Prompt": "a", "Model": "flux"}, "Model is 'flux', but must be"),
    ({"Prompt": "a", "Model": "flux-schnell", "Quantize": "off"}, "g6.xlarge"),
    ({"Prompt": "a", "InitImage": "no.png"}, "InitImage is 'no.png', but must be a file here or the key"),
    ({"Prompt": "a", "InitImage": "broken.png"}, "this file cannot be read as one"),
    ({"PromptFile": "broken.txt"}, r"The prompt file broken\.txt cannot be used\. Line 1"),
    ({"Prompt": "a", "Lora": "no.safetensors"}, "there is no such file here"),
    ({"Prompt": "a", "hold": "soon"}, "The hold is 'soon', but must be hours and minutes"),
    ({"Prompt": "a", "hold": "13h"}, "must not be longer than MaxHours, which is 12 here"),
    ({"Prompt": "a", "Model": "s3://mine/a.safetensors"}, r"Deploy with it: `sd deploy --model=s3://mine/a\.safet"),
    ({"Prompt": "a", "Lora": "s3://mine/b.safetensors"}, "may read only those files of S3 that were deployed"),
    ({"Prompt": "a", "Lora": "s3://mine/style.safetensors:0.5"}, "There is no object s3://mine/style"),
]


def test_what_cannot_be_drawn_is_refused_before_anything_is_written(person: Person) -> None:
    person.deploy(Lora="s3://mine/style.safetensors")
    Path("broken.txt").write_text("a horse --sead 7\n")
    Path("broken.png").write_text("no image")
    for given, why in REFUSED:
        refused(person, why, **given)


def test_a_folder_that_takes_no_images_is_refused_before_anything_is_sent(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.deploy()
    before = person.objects()
    (tmp_path / "file").write_text("in the way")
    for folder, why in ((tmp_path / "file" / "results", "Not a directory"), (Path("/proc/results"), "No such file")):
        person.folder = folder
        with pytest.raises(CommandError, match=rf"Could not write {folder}: {why}.*Name another folder: --to FOLDER"):
            person.generate(Prompt="a horse")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    person.folder = Path("results")
    with pytest.raises(CommandError, match="Could not write results: No such file"):
        person.generate(Prompt="a horse")
    assert (person.objects(), person.sent()) == (before, [])
