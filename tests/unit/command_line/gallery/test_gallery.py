from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.command_line.conftest import Account
from tests.unit.command_line.gallery.conftest import PutRun
from tests.unit.page.machine_shares import share
from tests.unit.page.records import HOSTILE, records
from userdata.batch.documents import Batch, Part
from userdata.batch.unit import Unit, UnitImage
from userdata.contract.layout import RunKeys
from userdata.page.facts import Facts
from userdata.page.script import from_script
from userdata.page.shard import Shard, make_shards

Sd = Callable[..., tuple[int, str, str]]


def below(folder: str = "results") -> set[str]:
    return {str(file.relative_to(folder)) for file in Path(folder).rglob("*") if file.is_file()}


def gets(account: Account) -> list[str]:
    """The keys that are read from now on."""
    asked: list[str] = []
    account.session.events.register(
        "before-parameter-build.s3.GetObject", lambda params, **_: asked.append(params["Key"])
    )
    return asked


def test_pages_come_without_the_images_and_once(account: Account, put_run: PutRun, sd: Sd) -> None:
    keys = put_run("a-horse-0123456789", prompt="a horse")
    assert sd("gallery")[:2] == (0, "1 run, 2 images -> results/index.html\n")
    assert {"index.html", "gallery.js", "a-horse-0123456789/index.html"} <= below()
    assert not {name for name in below() if name.endswith(".png")}
    (run,) = from_script("gallery", Path("results/gallery.js").read_bytes())["runs"]
    assert (run["title"], run["images"], run["cover"]) == ("a horse", 2, [0, 1])

    before, asked = below(), gets(account)
    assert sd("gallery", "a-horse")[:2] == (0, "1 run, 2 images -> results/a-horse-0123456789/index.html\n")
    assert (below(), {*asked} & {keys.thumbnail(0), keys.page_shard("00000")}) == (before, set())

    assert sd("gallery", "--full")[0] == 0
    assert "a-horse-0123456789/txt2img-samples/samples/00001.png" in below()


def test_a_run_of_an_earlier_version_gets_its_page_here(put_run: PutRun, sd: Sd) -> None:
    put_run("a-horse-0123456789", page=False, images=3, prompt=HOSTILE)
    assert sd("gallery")[:2] == (0, "1 run, 3 images -> results/index.html\n")
    folder = Path("results/a-horse-0123456789")
    facts = Facts.from_script((folder / "page/run.js").read_bytes())
    assert (facts.title, facts.shards) == (HOSTILE, ["000000"])
    assert (folder / "page/thumbnails/00002.webp").read_bytes()[8:12] == b"WEBP"
    # What one shard of this computer tells of is not told by another.
    assert sd("gallery", "--folder", "results")[0] == 0
    assert Facts.from_script((folder / "page/run.js").read_bytes()) == facts


def test_a_script_of_the_bucket_never_comes_here(account: Account, put_run: PutRun, sd: Sd) -> None:
    keys = put_run("a-horse-0123456789")
    evil = b"fetch('https://example.com')"
    (shard,) = make_shards(records(2))
    account.put(keys.page_shard("00007"), evil)
    account.put(keys.page_shard("00008"), shard.to_script() + evil)
    account.put(keys.index, b"<script>" + evil)
    account.put(keys.page_facts, evil)
    status, out, err = sd("gallery")
    assert (status, out) == (1, "1 run, 2 images -> results/index.html\n")
    assert f"{keys.page_shard('00007')}: it is no part of a page" in err
    assert sd("results")[0] == 0
    assert not [file for file in below() if b"example.com" in (Path("results") / file).read_bytes()]


@pytest.mark.parametrize("in_the_way", ["txt2img-samples/samples/00000.png/x", "index.html/x"])
def test_a_folder_in_the_place_of_a_file_costs_no_other_run_its_page(
    account: Account, put_run: PutRun, sd: Sd, in_the_way: str
) -> None:
    hostile = put_run("a-cat-0123456789", page=False)
    put_run("a-horse-0123456789", page=False)
    account.s3.delete_object(Bucket=account.bucket, Key=hostile.image(0))
    account.put(hostile.prefix + in_the_way, b"x")
    sd("results")
    assert sd("gallery")[1] == "2 runs, 4 images -> results/index.html\n"


def test_of_a_batch_that_goes_on_the_images_come_by_their_names(
    account: Account, put_run: PutRun, sd: Sd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its machines tell what it took so far. A second call reads no record of an image again."""
    keys = put_run("cats-0123456789", page=False)
    account.s3.delete_object(Bucket=account.bucket, Key=keys.status)
    batch = Batch(
        run_id=keys.run_id,
        title="cats.csv",
        by="me",
        asked_at=datetime(2026, 11, 29, tzinfo=UTC),
        model="demo",
        parts=[Part(images=9, units=2, bytes=9)],
    )
    account.put(keys.batch, batch.to_json())
    images = [UnitImage(index=0, given={}, name="red cat"), UnitImage(index=1, given={})]
    account.put(keys.units(0), Unit(unit=0, job={}, images=images).to_line())
    account.put(keys.machine("i-1"), share().to_json())
    account.put(keys.machine("i-2"), b"{}")

    assert sd("gallery")[:2] == (0, "1 run, 2 images -> results/index.html\n")

    folder = Path("results") / keys.run_id
    assert {"red cat.png", "00001.png"} <= {file.name for file in folder.rglob("*.png")}
    assert from_script("names", (folder / "page/names.js").read_bytes()) == {"images": {"0": "red cat"}}
    facts = Facts.from_script((folder / "page/run.js").read_bytes())
    assert (facts.title, facts.images, facts.usd, facts.images_per_hour) == ("cats.csv", 2, 0.5, 200)

    before = below()
    with monkeypatch.context() as watched:
        watched.setattr("userdata.record.image_metadata.ImageRecord.from_json", no_record_is_read)
        assert sd("gallery")[0] == 0
    assert below() == before
    assert from_script("names", (folder / "page/names.js").read_bytes()) == {"images": {"0": "red cat"}}
    (folder / "page/names.js").write_bytes(b'names({"images":{"0":7,"x":"red cat"}});\n')
    assert sd("gallery", "--folder", "results")[0] == 0
    assert from_script("names", (folder / "page/names.js").read_bytes()) == {"images": {"0": "red cat"}}


def no_record_is_read(_content: bytes) -> None:
    raise AssertionError("A record was read again.")


def test_without_aws_it_shows_what_is_here(sd: Sd, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_session(**_: Any) -> None:
        raise AssertionError("AWS was asked")

    monkeypatch.setattr("boto3.Session", no_session)
    for name, image_name in (("a-batch", "red cube"), ("another", "00000")):
        samples = Path("here") / name / "txt2img-samples/samples"
        samples.mkdir(parents=True)
        [record] = records(1, run_id=name)
        (samples / f"{image_name}.json").write_bytes(record.to_json())
    (Path("here/another/page/shards")).mkdir(parents=True)
    Path("here/another/page/shards/00001.js").write_text("alert(1)")
    Path("here/another/report.json").write_text("no report")
    assert sd("gallery", "--folder", "here") == (0, "2 runs, 2 images -> here/index.html\n", "")
    names = from_script("names", Path("here/a-batch/page/names.js").read_bytes())
    assert names == {"images": {"0": "red cube"}}
    assert Facts.from_script(Path("here/another/page/run.js").read_bytes()).shards == ["000000"]
    assert Shard.from_script(Path("here/a-batch/page/shards/000000.js").read_bytes()).images[0].index == 0


@pytest.mark.parametrize(
    "record", [{"index": 7}, {"index": -1}, {"job": {"lora": "a:b:c", "prompt": 3, "seed": []}}, {"batch": []}]
)
def test_a_spoilt_record_ends_nothing(sd: Sd, record: dict[str, Any]) -> None:
    samples = Path("here/a-run/txt2img-samples/samples")
    samples.mkdir(parents=True)
    whole, *_ = records(1)
    (samples / "00000.json").write_text(json.dumps({**json.loads(whole.to_json()), **record}))
    (samples / "00001.json").write_text("{")
    status, out, err = sd("gallery", "--folder", "here")
    if record == {"index": -1}:
        assert (status, err) == (1, "sd: There is no run with an image in here yet. `sd results` downloads runs.\n")
    else:
        assert (status, out) == (0, "1 run, 1 image -> here/index.html\n"), err


def test_what_is_not_there_is_a_sentence(put_run: PutRun, sd: Sd) -> None:
    assert sd("gallery") == (0, "No runs in sdonec2-resultsbucket46167c27-abc yet.\n", "")
    Path("empty").mkdir()
    assert sd("gallery", "--folder", "empty")[::2] == (
        1,
        "sd: There is no run with an image in empty yet. `sd results` downloads runs.\n",
    )
    put_run("a-horse-0123456789")
    assert "There is no run dog. The runs are: a-horse-0123456789." in sd("gallery", "dog")[2]
    assert RunKeys("a").index == "runs/a/index.html"
