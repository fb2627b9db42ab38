"""What the studio reads of a bucket with many runs, and of one with odd objects."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from botocore.client import BaseClient

from tests.unit.studio.conftest import Browser
from userdata.contract.layout import RunKeys
from userdata.job.job import Job
from userdata.job.job_document import write_job

JOB = Job(prompt="a horse", model="demo", n_iter=1, n_samples=1, seed=7)


def test_a_later_look_at_many_runs_reads_only_the_unfinished_and_what_is_shown(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.deploy()
    for seed in range(20):
        browser.draw(JOB.model_copy(update={"seed": seed}))
    asked: list[str] = []
    ask: Any = BaseClient._make_api_call  # type: ignore[attr-defined]

    def count(client: BaseClient, name: str, options: Any) -> Any:
        if client.meta.service_model.service_name == "s3":
            asked.append(name)  # by several threads at once, which would lose each other's sum
        return ask(client, name, options)

    monkeypatch.setattr(BaseClient, "_make_api_call", count)
    first = browser.get("/runs").json()
    assert (first["total"], len(first["runs"])) == (20, 8)
    asked.clear()
    assert browser.get("/runs").json() == first
    hold = 1
    assert Counter(asked) == {"ListObjectsV2": 1 + 8, "GetObject": 2 * 8 + hold}
    job = JOB.model_copy(update={"seed": 20})
    browser.account.put(RunKeys(job.name).job, write_job(job))
    assert browser.get("/runs").json()["runs"][0]["state"] == "waits"
    late = browser.draw(job, upto=0)
    assert browser.get("/runs").json()["runs"][0]["run_id"] == late
    browser.draw(job)
    (now, *others) = browser.get("/runs").json()["runs"]
    assert (now["run_id"], now["state"]) == (late, "done"), "nothing that is shown is remembered"
    assert others == first["runs"][:7]
    beyond = browser.get("/runs?skip=16").json()["runs"]
    assert len(beyond) == 5
    assert not {one["run_id"] for one in beyond} & {one["run_id"] for one in first["runs"]}


def test_a_list_shows_thumbnails_and_the_image_where_there_is_none_yet(browser: Browser) -> None:
    browser.deploy()
    run_id = browser.draw(JOB)
    address = f"/runs/{run_id}/images/0"
    assert f'src="{address}/thumbnail"' in browser.client.get("/runs").text
    whole = browser.client.get(f"{address}/thumbnail")
    assert (whole.headers["content-type"], whole.content[:4]) == ("image/png", b"\x89PNG")
    browser.account.put(RunKeys(run_id).thumbnail(0), b"RIFF")
    small = browser.client.get(f"{address}/thumbnail")
    assert (small.headers["content-type"], small.content) == ("image/webp", b"RIFF")
    assert browser.get(f"/runs/{run_id}/images/9/thumbnail").status_code == 422


def test_odd_objects_are_no_runs_and_no_images_and_stop_nothing(browser: Browser) -> None:
    browser.deploy()
    run_id = browser.draw(JOB)
    keys = RunKeys(run_id)
    for key in (
        "runs/", "runs//", "runs/file", "runs/<b>/status.json", "runs/broken/status.json", "runs/broken/job.json",
        "runs/empty/", f"{keys.samples_folder}samples/1.png", f"{keys.samples_folder}samples/00001.png/a",
        f"{keys.samples_folder}samples/000002.png", f"{keys.prefix}page/00003.png",
    ):  # fmt: skip
        browser.account.put(key, b"{odd")
    found = browser.get("/runs").json()
    assert {one["run_id"]: len(one["images"]) for one in found["runs"]} == {run_id: 1, "broken": 0, "empty": 0}
    assert browser.client.get("/").status_code == 200
    assert browser.get("/runs/broken").json()["prompt"] is None
