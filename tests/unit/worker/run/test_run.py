from __future__ import annotations

import dataclasses
import io
import json
import logging
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import numpy
import pytest
from botocore.exceptions import EndpointConnectionError
from PIL import Image

from userdata.contract.layout import RunKeys
from userdata.contract.run_name import run_name
from userdata.job.job_document import write_job
from userdata.job.run_error import Stopped
from userdata.page.facts import Facts
from userdata.page.shard import Shard
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.drawing import generate
from userdata.worker.drawing.second_pass import draw_larger
from userdata.worker.process.settings import Settings
from userdata.worker.run import attempt
from userdata.worker.run.limits import Limits
from userdata.worker.run.run import Outcome, do_run
from userdata.worker.run.run_log import RunLog
from userdata.worker.run.run_request import read_job

Deploy = Callable[..., dict[str, str]]


def test_whole_run(bucket: Bucket, settings: Settings, parameters: Deploy) -> None:
    deployed = parameters(Prompt="A horse\nstanding, under a 🌳", Seed="7")
    assert do_run(settings, deployed, threading.Event()) is Outcome.DONE
    keys = RunKeys(run_name(deployed))

    expected = {keys.job, keys.status, keys.report, keys.log, keys.grid(0)}
    expected |= {keys.image(k) for k in range(6)} | {keys.image_metadata(k) for k in range(6)}
    expected |= {keys.index, keys.page_facts, keys.page_shard("00000")} | {keys.thumbnail(k) for k in range(6)}
    assert bucket.keys("") == expected

    pictures = [_picture(bucket, keys.image(k)) for k in range(6)]
    assert all(picture.size == (72, 64) and picture.mode == "RGB" for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 6
    texts = [picture.text["parameters"] for picture in pictures]  # type: ignore[attr-defined]
    assert texts[5].startswith("A horse\nstanding, under a 🌳\nSteps: 4, Sampler: DDIM, CFG scale: 7.5, Seed: 12, ")

    beside = _json(bucket, keys.image_metadata(5))
    assert (beside["seed"], beside["index"], beside["file"]) == (12, 5, "00005.png")
    assert beside["job"]["prompt"] == deployed["Prompt"]

    grid = _picture(bucket, keys.grid(0))
    assert grid.size == (3 * 74 + 2, 2 * 66 + 2)
    assert grid.crop((2 + 74, 2 + 66, 2 + 74 + 72, 2 + 66 + 64)).tobytes() == pictures[4].tobytes()

    status = _json(bucket, keys.status)
    assert (status["phase"], status["images_done"], status["images_total"]) == ("done", 6, 6)
    assert (status["error"], status["schema"], status["run_id"]) == (None, 1, keys.run_id)

    report = _json(bucket, keys.report)
    assert [phase["phase"] for phase in report["phases"]] == ["model", "generating", "uploading"]
    assert [image["seed"] for image in report["images"]] == [7, 8, 9, 10, 11, 12]
    assert report["gpu"] is None
    assert report["cost"] is None
    assert report["resumed"] is False
    assert "diffusers" in report["versions"]

    facts = Facts.from_script(bucket.get(keys.page_facts) or b"")
    assert (facts.title, facts.images, facts.shards) == (deployed["Prompt"], 6, ["00000"])
    assert [phase.phase for phase in facts.phases] == ["model", "generating", "uploading"]
    shard = Shard.from_script(bucket.get(keys.page_shard("00000")) or b"")
    assert [image.own["Seed"] for image in shard.images] == [7, 8, 9, 10, 11, 12]
    assert shard.common["Prompt"] == deployed["Prompt"]

    assert _json(bucket, keys.job)["scale"] == 7.5
    assert "6 of 6 images are drawn" in (bucket.get(keys.log) or b"").decode()


def test_content_types_let_a_browser_show_the_results(bucket: Bucket, settings: Settings, parameters: Deploy) -> None:
    deployed = parameters(Iterations="1", Samples="1", Steps="1")
    do_run(settings, deployed, threading.Event())
    keys = RunKeys(run_name(deployed))
    client = boto3.client("s3")
    types = {key: client.head_object(Bucket=bucket.name, Key=key)["ContentType"] for key in bucket.keys("")}
    assert types[keys.image(0)] == "image/png"
    assert types[keys.status] == "application/json"
    assert types[keys.log] == "text/plain; charset=utf-8"
    assert types[keys.index] == "text/html; charset=utf-8"
    assert types[keys.page_facts] == "text/javascript; charset=utf-8"
    assert types[keys.thumbnail(0)] == "image/webp"


def test_image_is_uploaded_after_the_json_beside_it(bucket: Bucket, settings: Settings, parameters: Deploy) -> None:
    """The PNG in the bucket means that the image is done."""
    sent = _record_puts(bucket, settings, parameters(Iterations="1", Samples="2"))
    keys = RunKeys(run_name(parameters(Iterations="1", Samples="2")))
    for k in range(2):
        assert sent.index(keys.image_metadata(k)) < sent.index(keys.image(k))
    assert sent[-1] == keys.status


def test_done_run_is_not_repeated(
    bucket: Bucket, settings: Settings, parameters: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = parameters(Iterations="1", Samples="2")
    do_run(settings, deployed, threading.Event())
    before = _versions(bucket)
    monkeypatch.setattr(attempt.Attempt, "do", _must_not_run)
    assert do_run(settings, deployed, threading.Event()) is Outcome.DONE
    assert _versions(bucket) == before


def test_new_run_id_runs_again(bucket: Bucket, settings: Settings, parameters: Deploy) -> None:
    for run_id in ("", "second-try"):
        do_run(settings, parameters(Iterations="1", Samples="1", RunId=run_id), threading.Event())
    assert len([key for key in bucket.keys("runs/") if key.endswith("00000.png")]) == 2


@pytest.mark.parametrize("disk", ["the same disk", "another disk"])
def test_only_what_is_missing_is_drawn(
    bucket: Bucket, settings: Settings, parameters: Deploy, tmp_path: Path, disk: str
) -> None:
    deployed = parameters(Iterations="2", Samples="2", Seed="-1" if disk == "another disk" else "7")
    keys = RunKeys(run_name(deployed))
    do_run(settings, deployed, threading.Event())
    job = _json(bucket, keys.job)
    assert job.get("drawn_seed", 7) == _json(bucket, keys.image_metadata(0))["seed"]
    assert job["seed"] == int(deployed["Seed"])
    whole = [_picture(bucket, keys.image(k)).tobytes() for k in range(4)]
    lost = [1, 2]
    _interrupt(bucket, settings, keys, lost)
    if disk == "another disk":
        settings = dataclasses.replace(settings, state_directory=tmp_path / "another")
        of_a_later_version = {**_json(bucket, keys.image_metadata(3)), "schema": 2}
        bucket.put(keys.image_metadata(3), json.dumps(of_a_later_version).encode())
    before = _versions(bucket)

    assert do_run(settings, deployed, threading.Event()) is Outcome.DONE

    after = _versions(bucket)
    assert all(after[keys.image(k)] == before[keys.image(k)] for k in (0, 3))
    again = [_picture(bucket, keys.image(k)) for k in range(4)]
    assert all(_difference(picture, pixels) <= 2 for picture, pixels in zip(again, whole, strict=True))
    report = _json(bucket, keys.report)
    assert report["resumed"] is True
    read = 3 if disk == "another disk" else 4
    assert [image["file"] for image in report["images"]] == [f"{k:05}.png" for k in range(read)]
    assert _picture(bucket, keys.grid(0)).size == (2 * 74 + 2, 2 * 66 + 2)
    assert _json(bucket, keys.status)["images_done"] == 4

    if disk == "another disk":
        # What others have spoilt costs the grid and one more row of the report, and not the run.
        bucket.put(keys.image(0), b"no picture")
        bucket.put(keys.image_metadata(1), b"[" * 10_000)
        _interrupt(bucket, settings, keys, [])
        settings = dataclasses.replace(settings, state_directory=tmp_path / "a third one")
        assert do_run(settings, deployed, threading.Event()) is Outcome.DONE
        assert [image["file"] for image in _json(bucket, keys.report)["images"]] == [f"{k:05}.png" for k in (0, 2)]
        assert bucket.get(keys.grid(0)) is None


def test_of_two_machines_that_begin_a_run_one_draws_the_seed(
    bucket: Bucket, settings: Settings, parameters: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = parameters(Iterations="1", Samples="1", Seed="-1")
    keys = RunKeys(run_name(deployed))
    asked = read_job(deployed)
    bucket.put(keys.job, write_job(asked))  # as whoever asks by the queue
    with monkeypatch.context() as meanwhile:
        other = partial(bucket.put, keys.job, write_job(asked, drawn_seed=7))
        meanwhile.setattr(attempt.Attempt, "_take_stock", lambda _: other())
        assert do_run(settings, deployed, threading.Event()) is Outcome.BROKE
    assert "at the same time, with another seed. Start" in _json(bucket, keys.status)["error"]["message"]
    assert _json(bucket, keys.job)["drawn_seed"] == 7
    bucket.put(keys.job, write_job(asked))
    assert do_run(settings, deployed, threading.Event()) is Outcome.DONE
    assert _json(bucket, keys.job)["drawn_seed"] == _json(bucket, keys.image_metadata(0))["seed"]


def test_images_on_the_disk_are_uploaded_without_the_model(
    bucket: Bucket, settings: Settings, parameters: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = parameters(Iterations="1", Samples="2")
    keys = RunKeys(run_name(deployed))
    do_run(settings, deployed, threading.Event())
    _forget(bucket, keys.image(0), keys.image(1), keys.status)
    monkeypatch.setattr(attempt.Attempt, "_draw", _must_not_run)
    assert do_run(settings, deployed, threading.Event()) is Outcome.DONE
    assert {keys.image(0), keys.image(1)} <= bucket.keys("")
    assert _json(bucket, keys.status)["images_done"] == 2


def test_stopped_run_keeps_its_phase_and_goes_on(bucket: Bucket, settings: Settings, parameters: Deploy) -> None:
    deployed = parameters(Iterations="3", Samples="1", Steps="3")
    keys = RunKeys(run_name(deployed))
    assert do_run(settings, deployed, _StopAfter(checks=6)) is Outcome.STOPPED
    status = _json(bucket, keys.status)
    assert status["phase"] == "generating"
    assert status["error"] is None
    assert {key for key in bucket.keys(keys.samples_folder) if key.endswith(".png")} == {keys.image(0)}
    assert status["images_done"] == 1

    assert do_run(settings, deployed, threading.Event()) is Outcome.DONE
    resumed = _json(bucket, keys.status)
    assert resumed["started_at"] == status["started_at"]
    assert resumed["images_done"] == 3


@pytest.mark.long
def test_a_run_that_is_stopped_in_a_second_pass_goes_on_with_the_same_image(
    bucket: Bucket, settings: Settings, parameters: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"Iterations": "2", "Samples": "1", "Steps": "2", "Upscale": "2"}
    deployed, whole = parameters(**asked), parameters(**asked, RunId="whole")
    keys, stop, passes = RunKeys(run_name(deployed)), threading.Event(), []

    def second_pass(*words: Any, **options: Any) -> Any:
        passes.append(1)
        if len(passes) == 2:
            stop.set()
        return draw_larger(*words, **options)

    with monkeypatch.context() as first:
        first.setattr(generate, "draw_larger", second_pass)
        assert do_run(settings, deployed, stop) is Outcome.STOPPED
    assert len(passes) == 2
    assert {key for key in bucket.keys(keys.samples_folder) if key.endswith(".png")} == {keys.image(0)}
    assert do_run(settings, deployed, threading.Event()) is Outcome.DONE
    assert do_run(settings, whole, threading.Event()) is Outcome.DONE
    again = RunKeys(run_name(whole))
    assert _picture(bucket, keys.image(1)).size == tuple(2 * int(deployed[edge]) for edge in ("Width", "Height"))
    for k in (0, 1):
        assert _picture(bucket, keys.image(k)).tobytes() == _picture(bucket, again.image(k)).tobytes()


def test_no_log_goes_on_after_its_run(
    bucket: Bucket, settings: Settings, parameters: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3")

    monkeypatch.setattr("userdata.worker.run.run.read_run_request", away)
    with pytest.raises(EndpointConnectionError):
        do_run(settings, parameters(), threading.Event())
    assert [one for one in logging.getLogger().handlers if isinstance(one, RunLog)] == []


def test_a_run_that_is_asked_to_stop_loads_no_model() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        Limits(stop, None).before_model()


def test_bad_job_is_refused_in_a_sentence(bucket: Bucket, settings: Settings, parameters: Deploy) -> None:
    deployed = parameters(Height="63")
    assert do_run(settings, deployed, threading.Event()) is Outcome.FAILED
    status = _json(bucket, RunKeys(run_name(deployed)).status)
    assert (status["phase"], status["error"]["step"]) == ("failed", "job")
    assert status["error"]["message"] == (
        "Height is '63', but must be a whole number from 64 to 2048, for example 512; it is rounded down to a multiple "
        "of 8."
    )


def test_every_line_of_a_prompt_file_is_drawn(bucket: Bucket, settings: Settings, parameters: Deploy) -> None:
    bucket.put("inputs/prompts.txt", b"a horse\n# a comment\n\na tree --seed 7 --W 104 --H 80 --steps 2\na [house]\n")
    deployed = parameters(PromptFile="inputs/prompts.txt", Iterations="1", Samples="2", Seed="3", Rows="3")
    assert do_run(settings, deployed, threading.Event()) is Outcome.DONE
    keys = RunKeys(run_name(deployed))
    pictures = [_picture(bucket, keys.image(k)) for k in range(3)]
    assert [picture.size for picture in pictures] == [(72, 64), (104, 80), (72, 64)]
    texts = [picture.text["parameters"] for picture in pictures]  # type: ignore[attr-defined]
    assert texts[0].startswith("a horse\nSteps: 4, Sampler: DDIM, CFG scale: 7.5, Seed: 3, ")
    assert texts[1].startswith("a tree\nSteps: 2, Sampler: DDIM, CFG scale: 7.5, Seed: 7, Size: 104x80,")
    assert texts[2].startswith("a [house]\nSteps: 4, Sampler: DDIM, CFG scale: 7.5, Seed: 5, ")
    # Lines of one size are drawn together, though another stands between them.
    assert _json(bucket, keys.image_metadata(0))["drawn_with"]["indices"] == [0, 2]
    grid = _picture(bucket, keys.grid(0))
    assert grid.size == (3 * 106 + 2, 82 + 2)
    status = _json(bucket, keys.status)
    assert (status["images_done"], status["images_total"]) == (3, 3)
    assert do_run(settings, deployed, threading.Event()) is Outcome.DONE


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "has no such object. Upload it first: `aws s3 cp FILE 's3://results/inputs/prompts.txt'`"),
        (b"a horse\na tree --steps none\n", "Line 2: --steps is 'none', but must be a whole number from 1 to 1000"),
    ],
)
def test_bad_prompt_file_is_refused_before_the_model_is_loaded(
    bucket: Bucket, settings: Settings, parameters: Deploy, content: bytes | None, why: str, tmp_path: Path
) -> None:
    if content:
        bucket.put("inputs/prompts.txt", content)
    deployed = parameters(PromptFile="inputs/prompts.txt")
    without_model = dataclasses.replace(settings, model_folder=tmp_path)
    assert do_run(without_model, deployed, threading.Event()) is Outcome.FAILED
    error = _json(bucket, RunKeys(run_name(deployed)).status)["error"]
    assert error["step"] == "job"
    assert why in error["message"]


def test_image_to_image_takes_the_size_of_its_image(bucket: Bucket, settings: Settings, parameters: Deploy) -> None:
    file = io.BytesIO()
    Image.new("RGB", (100, 70), "red").save(file, format="PNG")
    bucket.put("inputs/red.png", file.getvalue())
    deployed = parameters(InitImage="inputs/red.png", Height="", Width="", Iterations="1", Samples="1", SkipGrid="on")
    assert do_run(settings, deployed, threading.Event()) is Outcome.DONE
    keys = RunKeys(run_name(deployed), from_image=True)
    assert _picture(bucket, keys.image(0)).size == (96, 64)
    assert (_json(bucket, keys.job)["W"], _json(bucket, keys.job)["H"]) == (96, 64)
    assert bucket.get(keys.grid(0)) is None
    assert "96 × 64, from the initial image's 100 × 70" in (bucket.get(keys.log) or b"").decode()


def test_a_rounded_size_is_told_in_the_log(bucket: Bucket, settings: Settings, parameters: Deploy) -> None:
    deployed = parameters(Height="71", Iterations="1", Samples="1", Steps="1")
    do_run(settings, deployed, threading.Event())
    keys = RunKeys(run_name(deployed))
    assert _json(bucket, keys.job)["H"] == 64
    assert "Height 71 is rounded down to 64" in (bucket.get(keys.log) or b"").decode()


def test_broken_model_fails_with_what_to_do(
    bucket: Bucket, settings: Settings, parameters: Deploy, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.ckpt").write_bytes(b"pickle")
    deployed = parameters()
    settings = dataclasses.replace(settings, model_folder=tmp_path / "model")
    assert do_run(settings, deployed, threading.Event()) is Outcome.FAILED
    keys = RunKeys(run_name(deployed))
    error = _json(bucket, keys.status)["error"]
    assert error["step"] == "model"
    assert "model.ckpt is no checkpoint that can be used" in error["message"]
    assert error["message"] in error["log_tail"]
    assert error["message"] in (bucket.get(keys.log) or b"").decode()


def test_failed_run_can_be_tried_again(bucket: Bucket, settings: Settings, parameters: Deploy, tmp_path: Path) -> None:
    deployed = parameters(Iterations="1", Samples="1")
    broken = dataclasses.replace(settings, model_folder=tmp_path)
    assert do_run(broken, deployed, threading.Event()) is Outcome.FAILED
    assert do_run(settings, deployed, threading.Event()) is Outcome.DONE
    status = _json(bucket, RunKeys(run_name(deployed)).status)
    assert (status["phase"], status["error"]) == ("done", None)


def test_failing_upload_fails_the_run_and_keeps_the_files(
    bucket: Bucket, settings: Settings, parameters: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = parameters(Iterations="2", Samples="1")
    keys = RunKeys(run_name(deployed))
    put_once = Bucket.put_once

    def put_no_images(self: Bucket, key: str, content: bytes) -> bool:
        if key.endswith("0.png"):
            boto3.client("s3").put_object(Bucket="no-such-bucket", Key=key, Body=content)
        return put_once(self, key, content)

    monkeypatch.setattr(Bucket, "put_once", put_no_images)
    assert do_run(settings, deployed, threading.Event()) is Outcome.BROKE
    error = _json(bucket, keys.status)["error"]
    assert keys.image(0) in error["message"]
    assert "start the instance" in error["message"]
    assert (settings.state_directory / keys.image(0)).exists()

    monkeypatch.setattr(Bucket, "put_once", put_once)
    assert do_run(settings, deployed, threading.Event()) is Outcome.DONE
    assert {keys.image(0), keys.image(1)} <= bucket.keys("")


def test_report_carries_the_boot_and_the_cost(
    bucket: Bucket, settings: Settings, parameters: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeline = tmp_path / "machine/var/lib/sd-on-ec2/boot.json"
    timeline.parent.mkdir(parents=True)
    phases = [{"phase": "driver", "started_at": "2026-01-01T00:00:01.000Z", "seconds": 2.5}]
    timeline.write_text(json.dumps({"schema": 1, "phases": phases}))
    monkeypatch.setattr(
        "userdata.worker.loaded.make_drawing.choose_device", lambda _: __import__("torch").device("cpu")
    )
    deployed = parameters(Iterations="1", Samples="1", Steps="1", VolumeSize="100")
    do_run(dataclasses.replace(settings, device=None), deployed, threading.Event())
    report = _json(bucket, RunKeys(run_name(deployed)).report)
    assert report["phases"][0] == phases[0]
    [receipt] = report["cost"]["attempts"]
    items = {line["unit"]: line for line in receipt["lines"]}
    assert items["hour"]["usd_per_unit"] in (1.006, 0.005)
    assert items["GB-month"]["quantity"] > 0
    assert items["PUT or LIST"]["quantity"] >= 6  # job, status, image with its JSON, grid, listing
    assert report["cost"]["usd_per_image"] == report["cost"]["usd"]
    assert "2026-08-17" in receipt["source"]


def test_every_attempt_is_on_the_receipt_and_one_boot_only_once(
    bucket: Bucket, settings: Settings, parameters: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two attempts in one boot, the second cut short as the first was; then another machine does the rest."""
    monkeypatch.setattr(
        "userdata.worker.loaded.make_drawing.choose_device", lambda _: __import__("torch").device("cpu")
    )
    deployed = parameters(Iterations="2", Samples="1", Steps="2", VolumeSize="100")
    keys = RunKeys(run_name(deployed))
    first = dataclasses.replace(settings, device=None)
    assert do_run(first, deployed, _StopAfter(checks=4)) is Outcome.STOPPED
    cut_short = _json(bucket, keys.report)
    assert [image["file"] for image in cut_short["images"]] == ["00000.png"]
    assert cut_short["cost"]["images"] == 1
    assert do_run(first, deployed, _StopAfter(checks=1)) is Outcome.STOPPED
    assert len(_json(bucket, keys.report)["cost"]["attempts"]) == 1

    elsewhere = settings.state_directory / "other"
    second = dataclasses.replace(first, instance_id="i-2", state_directory=elsewhere, life_cycle="spot")
    assert do_run(second, deployed, threading.Event()) is Outcome.DONE
    cost = _json(bucket, keys.report)["cost"]
    assert [(one["instance_id"], one["life_cycle"]) for one in cost["attempts"]] == [
        (settings.instance_id, "on-demand"),
        ("i-2", "spot"),
    ]
    assert cost["usd"] == pytest.approx(sum(one["usd"] for one in cost["attempts"]))
    assert (cost["images"], cost["usd_per_image"]) == (2, pytest.approx(cost["usd"] / 2, abs=1e-6))


class _StopAfter(threading.Event):
    """Set once it has been asked `checks` times."""

    def __init__(self, *, checks: int) -> None:
        super().__init__()
        self._checks = checks

    def is_set(self) -> bool:
        self._checks -= 1
        return self._checks < 0


def _must_not_run(*_: Any) -> None:
    raise AssertionError("nothing is to be done")


def _interrupt(bucket: Bucket, settings: Settings, keys: RunKeys, lost: list[int]) -> None:
    for k in lost:
        _forget(bucket, keys.image(k), keys.image_metadata(k))
        (settings.state_directory / keys.image(k)).unlink()
    _forget(bucket, keys.status, keys.report, keys.grid(0))


def _forget(bucket: Bucket, *keys: str) -> None:
    for key in keys:
        boto3.client("s3").delete_object(Bucket=bucket.name, Key=key)


def _versions(bucket: Bucket) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for version in boto3.client("s3").list_object_versions(Bucket=bucket.name).get("Versions", []):
        found.setdefault(version["Key"], []).append(version["VersionId"])
    return found


def _record_puts(bucket: Bucket, settings: Settings, deployed: dict[str, str]) -> list[str]:
    sent: list[str] = []
    put, put_once = Bucket.put, Bucket.put_once

    def record(self: Bucket, key: str, content: bytes) -> None:
        put(self, key, content)
        sent.append(key)

    def record_once(self: Bucket, key: str, content: bytes) -> bool:
        sent.append(key)
        return put_once(self, key, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bucket, "put", record)
        patch.setattr(Bucket, "put_once", record_once)
        do_run(settings, deployed, threading.Event())
    return sent


def _picture(bucket: Bucket, key: str) -> Image.Image:
    picture = Image.open(io.BytesIO(bucket.get(key) or b""))
    picture.load()
    return picture


def _difference(picture: Image.Image, pixels: bytes) -> int:
    one = numpy.frombuffer(picture.tobytes(), numpy.uint8).astype(int)
    return int(abs(one - numpy.frombuffer(pixels, numpy.uint8).astype(int)).max())


def _json(bucket: Bucket, key: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(bucket.get(key) or b"")
    return document
