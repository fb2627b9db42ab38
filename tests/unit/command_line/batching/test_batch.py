"""From a file to a batch in the bucket and one message: what is drawn, and that a batch is never half or twice."""

from __future__ import annotations

import dataclasses
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from scripts.command_line.batching import batch as batching
from scripts.command_line.batching import hand_in, spool
from scripts.command_line.fleet import ways
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.batching.conftest import NOW, Person, as_jsonl
from tests.unit.command_line.conftest import refusal
from userdata.batch.documents import MachineShare, UnitDone
from userdata.contract.layout import RunKeys

ROWS = 'prompt,seed,cfg_scale,name\na horse,7,5,first\n"a tree,\nand a lake",,,\n'


def test_a_file_of_rows_becomes_units_a_document_and_one_message(person: Person) -> None:
    person.account.deploy()
    run_id = person.batch("My horses.csv", ROWS, given={"Steps": "20", "Seed": "100"}, max_usd=3.5)
    assert run_id.startswith("my-horses-")
    images = person.images(run_id)
    assert [(one["prompt"], one["seed"], one["scale"], one["name"], one["line"]) for one in images.values()] == [
        ("a horse", 7, 5.0, "first", 2),
        ("a tree,\nand a lake", 101, 7.5, None, 3),
    ]
    assert {one["steps"] for one in images.values()} == {20}
    document = person.document(run_id)
    assert (document.images, document.title, document.max_usd) == (2, "My horses", 3.5)
    assert document.by == "arn:aws:sts::123456789012:user/moto"
    assert document.parts[0].bytes == len(person.read(RunKeys(run_id).units(0)))
    assert [(one.run_id, one.part) for one in person.sent()] == [(run_id, 0)]
    for command in (f"sd watch {run_id}", f"sd pause {run_id}", f"sd results {run_id} --zip"):
        assert command in person.said


def test_a_row_makes_as_many_images_as_it_says_and_the_seeds_count_on(person: Person) -> None:
    person.account.deploy()
    rows: list[dict[str, Any]] = [
        {"prompt": "a", "n_iter": 2, "name": "two.png"},
        {"prompt": "b"},
        {"prompt": "c", "seed": 5, "n_samples": 2},
    ]
    images = person.images(person.batch("a.jsonl", as_jsonl(rows)))
    assert [(one["prompt"], one["seed"], one["name"]) for one in images.values()] == [
        ("a", 42, "two-1"),
        ("a", 43, "two-2"),
        ("b", 44, None),
        ("c", 5, None),
        ("c", 6, None),
    ]


def test_the_cells_of_a_grid_share_the_seeds_of_their_row(person: Person) -> None:
    """A grid is there to show what its values change."""
    person.account.deploy()
    images = person.images(person.batch("a.txt", "a\nb\n", grid=["scale=5,7.5", "sampler=euler,ddim"]))
    assert [(one["prompt"], one["seed"], one["scale"], one["sampler"]) for one in images.values()] == [
        (prompt, seed, scale, sampler)
        for prompt, seed in (("a", 42), ("b", 43))
        for scale in (5.0, 7.5)
        for sampler in ("euler", "ddim")
    ]


def test_a_grid_of_seeds_and_models(person: Person) -> None:
    person.account.deploy(Model="tiny")
    run_id = person.batch("a.txt", "a\nb --seed -1 --steps 6\n", grid=["model=tiny,demo"], given={"Steps": "5"})
    images = person.images(run_id)
    assert [one["model"] for one in images.values()] == ["tiny", "demo", "tiny", "demo"]
    assert images[2]["seed"] == images[3]["seed"]
    assert [unit.job["model"] for unit in person.units(run_id)] == ["tiny", "tiny", "demo", "demo"]
    assert (images[1]["H"], images[1]["W"]) == (128, 128), "each model has its own size"
    images = person.images(person.batch("b.txt", "a\n", grid=["seed=7..9"]))
    assert [one["seed"] for one in images.values()] == [7, 8, 9]


def test_a_drawn_seed_is_told_and_another_each_time(person: Person) -> None:
    person.account.deploy()
    first = person.batch("a.txt", "a\nb\n", given={"Seed": "-1"})
    drawn = person.images(first)
    assert f"Seed is -1: {drawn[0]['seed']} is drawn" in person.said
    assert drawn[1]["seed"] == drawn[0]["seed"] + 1
    assert person.batch("a.txt", given={"Seed": "-1"}) != first


def test_units_have_rows_of_one_kind_and_a_minute_s_work(person: Person) -> None:
    person.account.deploy()
    rows = [{"prompt": f"a horse {number}", "width": 512 if number % 2 else 640} for number in range(30)]
    run_id = person.batch("a.jsonl", as_jsonl(rows))
    units = person.units(run_id)
    assert all(len({image.index % 2 for image in unit.images}) == 1 for unit in units)
    assert [len(unit.images) for unit in units] == [9, 6, 11, 4], "about 60 s on the L4 of a g6.xlarge"
    assert [unit.unit for unit in units] == [0, 1, 2, 3]
    assert list(person.images(run_id)) == list(range(30))


def test_a_unit_of_the_longest_prompts_fits_into_its_line(person: Person) -> None:
    person.account.deploy()
    rows = [{"prompt": "马" * 10_000, "negative_prompt": "é" * 10_000, "steps": 1, "W": 64, "H": 64}] * 20
    run_id = person.batch("a.jsonl", as_jsonl(rows))
    assert len(person.images(run_id)) == 20


def test_the_same_file_is_the_same_batch_and_what_is_missing_is_released_again(person: Person) -> None:
    person.account.deploy(Model="tiny")
    run_id = person.batch("a.txt", "a\nb\n")
    before = person.read(RunKeys(run_id).batch)
    done = UnitDone(
        instance_id="i-1", instance_type="g6.xlarge", life_cycle="spot", ended="2026-01-01T00:00:00Z", images=1,
        flagged=0, seconds=1,
    )  # fmt: skip
    person.account.put(RunKeys(run_id).unit_done(0, 0), done.to_json())
    assert person.batch("a.txt") == run_id
    assert "is there already" in person.said
    assert "About 1 of its 2 images are missing" in person.said
    assert person.read(RunKeys(run_id).batch) == before
    assert len(person.sent()) == 2
    person.account.put(RunKeys(run_id).unit_done(0, 1), done.to_json())
    assert person.batch("a.txt") == run_id
    assert "drawn already, all 2 images" in person.said
    assert "sd pause" not in person.said
    assert len(person.sent()) == 2, "nothing is left to release"
    assert person.batch("a.txt", given={"RunId": "again"}) != run_id
    assert person.batch("a.txt", given={"Steps": "7"}) != run_id


def test_a_raised_limit_of_dollars_is_written(person: Person) -> None:
    person.account.deploy()
    run_id = person.batch("a.txt", "a\n", max_usd=2.0)
    person.batch("a.txt", max_usd=3.0)
    assert person.document(run_id).max_usd == 3.0
    share = MachineShare(
        instance_id="i-1", instance_type="g6.xlarge", life_cycle="spot", began=NOW, updated_at=NOW, units=0, images=0,
        seconds=9, usd=3.5, usd_at_most=3.5, usd_per_hour=1,
    )  # fmt: skip
    person.account.put(RunKeys(run_id).machine("i-1"), share.to_json())
    sent = person.sent()
    for limit, says in ((3.2, r"has cost \$3.50 already, and may cost \$3.20"), (3.51, "pay for no way")):
        for how in ({"file": "a.txt"}, {"file": "b.txt", "content": "b\n", "add": run_id}):
            with pytest.raises(CommandError, match=says):
                person.batch(**how, max_usd=limit)
    with pytest.raises(CommandError, match=r"and may cost \$3.00. Nothing was queued. Give --max-usd above that"):
        person.batch("b.txt", add=run_id)
    assert (person.sent(), person.document(run_id).images, person.document(run_id).max_usd) == (sent, 1, 3.0)
    person.batch("b.txt", add=run_id, max_usd=9.0)
    assert (person.document(run_id).images, person.document(run_id).max_usd) == (2, 9.0)


def test_the_deployed_limit_of_a_run_is_that_of_a_batch(person: Person) -> None:
    person.account.deploy(MaxSpend="2")
    assert person.document(person.batch("a.txt", "a\n")).max_usd == 2.0
    assert "may cost $2, as deployed (MaxSpend)" in person.said
    assert person.document(person.batch("b.txt", "b\n", max_usd=3.0)).max_usd == 3.0
    with pytest.raises(CommandError, match="2 dollars pay for no way"):
        person.batch("c.txt", "c --n_iter 1000\n" * 2)


def test_an_interrupted_command_is_made_whole_by_the_same_command(person: Person) -> None:
    person.account.deploy()
    person.account.session.events.register("before-call.sqs.SendMessage", refused := refusal("AccessDenied"))
    with pytest.raises(CommandError, match=r"Batch a-\w+ is handed in: `sd resume a-\w+` draws it"):
        person.batch("a.txt", "a\n")
    person.account.session.events.unregister("before-call.sqs.SendMessage", refused)
    (key,) = [key for key in person.objects() if key.endswith("batch.json")]
    person.account.s3.delete_object(Bucket=person.account.bucket, Key=key)
    run_id = person.batch("a.txt")
    assert person.document(run_id).images == 1
    assert len(person.sent()) == 1


def test_units_that_another_command_has_written_stay_unless_it_left_them_behind(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.account.deploy()
    run_id = person.batch("a.txt", "a\n")
    person.account.s3.delete_object(Bucket=person.account.bucket, Key=RunKeys(run_id).batch)
    person.account.put(RunKeys(run_id).units(0), b"others")
    with pytest.raises(CommandError, match="Another command is just adding"):
        person.batch("a.txt")
    assert person.read(RunKeys(run_id).units(0)) == b"others"
    monkeypatch.setattr(hand_in, "LEFT_BEHIND", timedelta(0))
    assert person.batch("a.txt") == run_id
    assert len(person.images(run_id)) == 1


def test_a_batch_that_was_stopped_is_not_released(person: Person) -> None:
    person.account.deploy()
    run_id = person.batch("a.txt", "a\n")
    for state, says in (("paused", "sd resume"), ("capped", "sd resume"), ("cancelled", "For another one")):
        person.control(run_id, state)
        with pytest.raises(CommandError, match=says):
            person.batch("a.txt")
        assert "are drawn now" not in person.said
    assert len(person.sent()) == 1


def test_another_file_is_added_as_another_part(person: Person) -> None:
    person.account.deploy()
    run_id = person.batch("a.csv", "prompt,name\na,One\nb,\n")
    person.account.put(RunKeys(run_id).batch_ended, b"{}")
    with pytest.raises(CommandError, match=r"Line 3: name is 'oNE', but an image of the batch has it"):
        person.batch("b.csv", "prompt,name\na,two\nb,oNE\n", add=run_id)
    assert person.batch("b.csv", "prompt,name\nc,two\nd,\n", add=run_id) == run_id
    images = person.images(run_id, part=1)
    assert [(index, one["prompt"], one["seed"], one["name"]) for index, one in images.items()] == [
        (2, "c", 44, "two"),
        (3, "d", 45, None),
    ]
    assert [part.images for part in person.document(run_id).parts] == [2, 2]
    assert [(one.run_id, one.part) for one in person.sent()] == [(run_id, 0), (run_id, 1)]
    assert RunKeys(run_id).batch_ended not in person.objects(), "the end is told again"
    with pytest.raises(CommandError, match="There is no batch b-0123456789"):
        person.batch("b.csv", add="b-0123456789")


def test_a_sample_is_drawn_first_and_the_rest_after_a_yes(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person.account.deploy()
    released: list[int] = []

    def draw(**_: object) -> None:
        work = person.sent()[-1]
        released.append(work.part)
        for unit in person.units(work.run_id, work.part):
            person.account.put(RunKeys(work.run_id).unit_done(work.part, unit.unit), b"{}")
            for image in unit.images:
                person.account.put(RunKeys(work.run_id).image(image.index), b"png")

    answers = iter([True, False])
    monkeypatch.setattr(batching, "ask", lambda question, otherwise: next(answers))
    machines = _with_five_machines(monkeypatch)
    person.account.session.events.register("after-call.sqs.SendMessage", draw)
    Path("in-the-way").touch()
    person.folder = Path("in-the-way/results")
    with pytest.raises(CommandError, match=r"Not a directory\. Nothing was begun\."):
        person.batch("a.txt", "a\n", sample=1)
    assert released == [], "what cannot be downloaded is not paid for"
    person.folder = Path("results")
    with pytest.raises(CommandError, match=r"was not released\. The same command without --sample releases it"):
        person.batch("a.txt", "a\nb\nc\nd\ne\nf\n", sample=2, yes=False)
    assert released == [0]
    assert len(list(person.folder.rglob("*.png"))) == 2
    run_id = next(iter(person.folder.iterdir())).name
    assert (list(person.images(run_id)), list(person.images(run_id, 1))) == ([0, 3], [1, 2, 4, 5])
    with pytest.raises(CommandError, match="is there already, with --sample 2, so that --sample 3 cannot be drawn"):
        person.batch("a.txt", sample=3)
    person.batch("a.txt", sample=2)
    assert released == [0, 0, 1]
    assert machines == [1, 1, 5], "no more machines than the sample has units"
    person.account.session.events.unregister("after-call.sqs.SendMessage", draw)
    person.batch("whole.txt", "a\nb\n")
    with pytest.raises(CommandError, match="is there already, without a sample, so that --sample 1 cannot be drawn"):
        person.batch("whole.txt", sample=1)


def test_a_sample_that_cannot_be_drawn_ends_the_command(person: Person) -> None:
    person.account.deploy()

    def fail(**_: object) -> None:
        run_id = person.sent()[-1].run_id
        person.control(run_id, "capped")
        person.account.session.events.unregister("after-call.sqs.SendMessage", fail)

    person.account.session.events.register("after-call.sqs.SendMessage", fail)
    with pytest.raises(CommandError, match=r"The sample is not complete, and a-\w+ is capped"):
        person.batch("a.txt", "a\nb\n", sample=1)
    (run_id,) = {one.run_id for one in person.sent()}
    person.control(run_id, "go")
    person.account.put(RunKeys(run_id).unit_failed(0, 0), b"{}")
    with pytest.raises(CommandError, match="1 of 1 units of the sample failed, so the rest is not released"):
        person.batch("a.txt", sample=1)
    assert {one.part for one in person.sent()} == {0}


def _with_five_machines(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lets each way have five machines. Returns how many are started, each time."""
    started: list[int] = []

    def find_ways(*found: Any, **options: Any) -> list[Any]:
        return [dataclasses.replace(way, machines=5) for way in ways.find_ways(*found, **options)]

    monkeypatch.setattr(batching, "find_ways", find_ways)
    monkeypatch.setattr(
        batching, "start_machines", lambda session, deployment, way, *_, **__: started.append(way.machines)
    )
    return started


def test_without_a_yes_nothing_is_done(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person.account.deploy()
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(CommandError, match="Nothing was queued, because the question got no answer") as refused:
        person.batch("a.txt", "a\n", yes=False)
    assert refused.value.exit_status == 2
    assert not any("batch.json" in key or "units" in key for key in person.objects())


def test_a_row_is_upscaled_by_itself_and_refused_where_its_second_pass_does_not_fit(person: Person) -> None:
    person.account.deploy()
    Image.new("RGB", (128, 128)).save("horse.png")
    rows: list[dict[str, Any]] = [{"prompt": "a"}, {"prompt": "a", "init-img": "horse.png", "upscale": 1}]
    images = person.images(person.batch("a.jsonl", as_jsonl(rows), given={"Upscale": "2"}))
    assert [(one["job"].upscale, one["W"]) for one in images.values()] == [(2, 640), (1, 128)]
    large = {"prompt": "a", "model": "sdxl-base", "precision": "full", "upscale": "2"}
    with pytest.raises(CommandError, match="Line 1: InstanceType is .* and a second pass of that size needs 24.3 GiB"):
        person.batch("large.jsonl", as_jsonl([large]))


def test_files_of_this_machine_are_uploaded_once_each(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person.account.deploy()
    for name, size in (("horse.png", (200, 136)), ("tree.png", (64, 64))):
        Image.new("RGB", size).save(name)
    rows = [{"prompt": "a", "init-img": name} for name in ("horse.png", "tree.png", "horse.png")]
    rows.append({"prompt": "a", "init-img": "tree.png", "H": "256"})
    images = person.images(person.batch("a.jsonl", as_jsonl(rows)))
    assert [(one["W"], one["H"]) for one in images.values()] == [(192, 128), (64, 64), (192, 128), (640, 256)]
    assert {one["job"].init_img for one in images.values()} <= person.objects()
    uploaded = {key for key in person.objects() if key.startswith("inputs/")}
    assert len(uploaded) == 2

    def change(*_: object, **__: object) -> bool:
        Image.new("RGB", (64, 72)).save("tree.png")
        return True

    monkeypatch.setattr(batching, "ask", change)
    Image.new("RGB", (64, 80)).save("tree.png")
    with pytest.raises(CommandError, match=r"tree\.png has changed since it was looked at\. Nothing was queued"):
        person.batch("a.jsonl", yes=False)
    assert {key for key in person.objects() if key.startswith("inputs/")} == uploaded

    Image.linear_gradient("L").resize((64, 72)).save("a mask with a name that is as long as it likes.png")
    masked = {"prompt": "a", "init-img": "tree.png", "init-mask": "a mask with a name that is as long as it likes.png"}
    (image,) = person.images(person.batch("masked.jsonl", as_jsonl([masked]))).values()
    assert {image["job"].init_img, image["job"].init_mask} <= person.objects()
    with pytest.raises(CommandError, match="it has 64 × 72 pixels, and the initial image 200 × 136"):
        person.batch("wrong.jsonl", as_jsonl([{**masked, "init-img": "horse.png"}]))


def test_a_time_makes_a_schedule_and_no_message(person: Person) -> None:
    person.account.outputs["ReleaseRole"] = "arn:aws:iam::123456789012:role/release"
    person.account.deploy()
    with pytest.raises(CommandError, match=r"It is past 2026-03-28 13:30 \(UTC\+01:00\), which is 12:30 UTC by now"):
        person.batch("a.txt", "a\n", at="13:30")
    now = datetime.now(UTC)
    later: dict[str, Any] = {"at": f"{now + timedelta(hours=2):%Y-%m-%dT%H:%MZ}", "now": now}
    run_id = person.batch("a.txt", **later)
    assert f"Batch {run_id} begins at {now + timedelta(hours=2):%Y-%m-%d %H:%M} (UTC+00:00)" in person.said
    scheduled = person.account.session.client("scheduler").list_schedules()["Schedules"]
    assert any(one["Name"].endswith("-release") for one in scheduled)
    assert person.sent() == []
    with pytest.raises(CommandError, match="is planned for .* UTC, and another --at would take the place of that"):
        person.batch("b.txt", "b\n", add=run_id, **later)
    assert person.document(run_id).images == 1
    person.batch("b.txt", "b\n", add=run_id)
    assert scheduled == person.account.session.client("scheduler").list_schedules()["Schedules"]
    with pytest.raises(CommandError, match="has 2 parts, but --at releases one"):
        person.batch("a.txt", **later)
    person.batch("a.txt")
    assert person.account.session.client("scheduler").list_schedules()["Schedules"] == [], "it begins now, and once"


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("a\nb --steps 0\nc --sampler_name Eulr\n", {}, r"Line 2: --steps is '0', but must be .* Line 3: Sampler is"),
    ("a --scale 5\n", {"grid": ["scale=5,6"]}, "Line 1: it gives --scale, and so does --grid"),
    ("a\n", {"grid": ["scale=5,99"]}, "Line 1: GuidanceScale is '99', but must be a number from 0 to 50"),
    ("\n# nothing\n", {}, "There is no row in it"),
    ("a\n", {"given": {"Engine": "compvis"}}, "Engine is compvis"),
    ("a\n", {"given": {"Steps": "x"}}, "Steps is 'x', but must be"),
    ("a\n", {"max_usd": 0.0001}, "pay for no way"),
    ("x\n", {"given": {"Lora": "s3://other/x.safetensors"}}, "may read only those files"),
    ("x <lora:styl:0.5>\n", {}, "Line 1: Prompt asks for the LoRA styl, but Lora lists none"),
]
ROWS_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": "../x"}, r"name is '\.\./x', but must be a file name"),
    ({"name": "con.txt"}, "name is 'con.txt', but must be a file name"),
    ({"name": "fIRST.PNG"}, "name is 'fIRST', but line 1 has it"),
    ({"prompt": None}, "it has no prompt"),
    ({"prompt": True}, "prompt is True, but must be a text"),
    ({"steps": True}, "steps is True, but must be a whole number"),
    ({"prompt": " "}, "prompt is ' ', but must be a text of 1 to 10000"),
    ({"steps": 20.5}, "steps is 20.5, but must be a whole number"),
    ({"init_img": "missing.png"}, "InitImage is 'missing.png', but must be a file here"),
    ({"prompt": "(a:99)"}, "Prompt"),
    ({"model": "sd-1"}, "Model is 'sd-1', but must be one of"),
    ({"seed": 2**63}, "seed is 9223372036854775808, but must be"),
]


def test_what_cannot_be_drawn_is_refused_and_nothing_is_written(person: Person) -> None:
    person.account.deploy()
    for content, options, says in REFUSED:
        with pytest.raises(CommandError, match=says):
            person.batch("a.txt", content, **options)
    for row, says in ROWS_REFUSED:
        with pytest.raises(CommandError, match=f"Line 2: {says}"):
            person.batch("a.jsonl", as_jsonl([{"prompt": "a", "name": "first", "steps": 1}, {"prompt": "a", **row}]))
    with pytest.raises(CommandError, match=r"b\.txt cannot be read: No such file"):
        person.batch("b.txt")
    assert (person.sent(), person.objects()) == ([], set())


def test_more_images_than_a_batch_may_have_are_refused(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person.account.deploy()
    monkeypatch.setattr(spool, "MOST_IMAGES", 10)
    assert len(person.images(person.batch("a.txt", "a --n_iter 5\n" * 2))) == 10
    with pytest.raises(CommandError, match="It makes more than 100,000 images"):
        person.batch("b.txt", "a --n_iter 11\n")
    with pytest.raises(CommandError, match="It makes more than 100,000 images"):
        person.batch("b.txt", "a\n" * 11)


def test_a_stack_without_a_queue_is_refused(person: Person) -> None:
    person.account.outputs.clear()
    person.account.deploy()
    with pytest.raises(CommandError, match="has no queue"):
        person.batch("a.txt", "a\n")


def test_words_that_other_programs_read_are_told_once_and_drawn(person: Person) -> None:
    person.account.deploy()
    run_id = person.batch("a.txt", "a {red|blue} horse\n" * 20)
    assert person.said.count("{red|blue}") == 1
    assert len(person.images(run_id)) == 20


def test_a_document_that_another_command_has_written_stays(person: Person) -> None:
    person.account.deploy()
    run_id = person.batch("a.txt", "a\n")
    bucket = hand_in.Bucket(person.account.s3, person.account.bucket)
    standing = bucket.find(run_id)
    assert standing
    bucket.put_batch(standing.batch.model_copy(update={"title": "another's"}), standing.etag)
    for etag in (None, standing.etag):
        with pytest.raises(CommandError, match="Another command has written batch a-"):
            bucket.put_batch(standing.batch, etag)
    assert person.document(run_id).title == "another's"
