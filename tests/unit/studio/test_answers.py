"""Each address answers a page, a fragment or JSON; what it does is what the commands do, in their words."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from PIL import Image
from starlette.testclient import TestClient

from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.parameter_options import check_parameters
from scripts.command_line.terminal.plain_text import printable
from scripts.studio import events
from scripts.studio.events import News
from scripts.studio.records import command_for, values_of
from tests.unit.command_line.conftest import refusal
from tests.unit.studio.conftest import FRAGMENT, Browser, plain_png, png_of
from userdata.contract.layout import RunKeys
from userdata.job.job import Job
from userdata.record.image_metadata import png_with_record, record_in_png

PROMPT = "<script>alert(1)</script> & a 'horse'"
JOB = Job(prompt=PROMPT, model="demo", n_iter=1, n_samples=2, seed=7)


def test_each_address_answers_in_three_forms(browser: Browser) -> None:
    browser.deploy()
    run_id = browser.draw(JOB)
    grid = "/grid?Prompt=a&X=Steps&Xs=2,3&Seed=1"
    for address in ("/", "/status", "/runs", f"/runs/{run_id}", f"/runs/{run_id}/images/1", "/stop", "/teardown", grid):
        page = browser.client.get(address, headers={"Accept": "text/html,*/*;q=0.8"})
        fragment = browser.client.get(address, headers=FRAGMENT)
        data = browser.get(address)
        assert (page.status_code, fragment.status_code, data.status_code) == (200, 200, 200), page.text
        assert page.text.startswith("<!doctype html>")
        assert fragment.text.strip() in page.text or address in ("/", "/status"), address
        assert "<!doctype" not in fragment.text
        assert data.json()["schema"] == 1
        assert {one.headers["vary"] for one in (page, fragment, data)} == {"Accept, HX-Request"}
        assert "<script>alert" not in page.text + fragment.text


def test_the_command_of_an_image_is_about_the_same_prompt_when_it_is_copied() -> None:
    assert command_for({"Prompt": "a\u200db", "Seed": "7"}) == r"sd generate --seed=7 -- $'a\U0000200db'"


def test_a_press_sends_what_sd_generate_sends_and_starts_the_instance(browser: Browser) -> None:
    browser.deploy()
    browser.account.ec2.stop_instances(InstanceIds=[browser.account.instance_id])
    sent = browser.post("/generate", Prompt=PROMPT, Samples="2", Iterations="1", Seed="7").json()
    assert sent["run_id"] == JOB.name
    assert browser.sent() == [JOB.name]
    assert browser.job(JOB.name) == JOB
    assert browser.account.state() == "stopped", "the page asks for the start by itself, because that may take minutes"
    started = browser.post(f"/runs/{JOB.name}/start").json()
    assert started["told"][0] == f"Started {browser.account.instance_id} for run {JOB.name}; see `sd status`."
    assert browser.account.state() == "running"
    held = browser.hold()
    assert held and 9 < (held.until - datetime.now(UTC)).total_seconds() / 60 <= 10


def test_the_page_starts_a_run_that_was_just_sent_and_no_other(browser: Browser) -> None:
    browser.deploy()
    fragment = browser.post("/generate", FRAGMENT, Prompt=PROMPT, Seed="7").text
    assert 'hx-trigger="load"' in fragment
    assert "&lt;script&gt;alert(1)" in fragment
    browser.draw(JOB)
    again = browser.post("/generate", FRAGMENT, Prompt=PROMPT, Samples="2", Iterations="1", Seed="7").text
    assert f"Run {JOB.name} is there already, so nothing is drawn." in again
    assert 'hx-trigger="load"' not in again


def test_the_sentence_beside_a_field_is_that_of_the_terminal(browser: Browser) -> None:
    browser.deploy()
    wrong = {"Prompt": "a", "Steps": "many", "GuidanceScale": "99", "Samples": "2"}
    with pytest.raises(CommandError) as refused:
        check_parameters({"Model": "demo", **wrong})
    steps, scale = str(refused.value).split("\n")
    for address in ("/price", "/generate"):
        assert browser.post(address, **wrong).json()["refusals"] == {"Steps": steps, "GuidanceScale": scale}
        fragment = browser.post(address, FRAGMENT, **wrong).text
        assert f'<p id="refusal-Steps" class="refusal" hx-swap-oob="true">{steps}</p>'.replace("'", "&#39;") in fragment
    assert browser.sent() == []


REFUSED: list[tuple[dict[str, str], str, str]] = [
    ({"Prompt": ""}, "", "There is no prompt."),
    ({"Prompt": "  "}, "Prompt", "Prompt is '  ', but must be"),
    ({"Prompt": "a", "Sampler": "nix"}, "Sampler", "Sampler is 'nix'"),
    ({"Prompt": "a", "Model": "no"}, "Model", "Model is 'no', but must be"),
    ({"Prompt": "a", "InitImage": "/etc/hostname"}, "InitImage", "InitImage is '/etc/hostname', but must be"),
    ({"Prompt": "a", "Lora": "/etc/hostname"}, "Lora", "Lora is '/etc/hostname', but must be"),
    ({"Prompt": "a", "InitImage": "inputs/no.png"}, "InitImage", "InitImage is 'inputs/no.png', but must be a"),
]


def test_what_cannot_be_drawn_is_refused_beside_its_field(browser: Browser) -> None:
    browser.deploy()
    for typed, place, sentence in REFUSED:
        answer = browser.post("/generate", **typed)
        assert answer.status_code == 422
        assert answer.json()["refusals"][place].startswith(sentence)
    assert browser.sent() == []
    assert browser.post("/generate", Prompt="a", PromptFile="/etc/hostname").status_code == 200, "no field of the page"


def test_a_name_is_never_that_of_a_file_of_this_machine(
    browser: Browser, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come from an image that somebody else has made."""
    from pathlib import Path

    folder = Path(str(tmp_path))
    (folder / "inputs").mkdir()
    (folder / "inputs/secret.png").write_bytes(plain_png())
    monkeypatch.chdir(folder)
    browser.deploy()
    answer = browser.post("/generate", Prompt="a", InitImage="inputs/secret.png")
    assert "but must be a file here or the key of an object" in answer.json()["refusals"]["InitImage"]
    assert "Contents" not in browser.account.s3.list_objects_v2(Bucket=browser.account.bucket, Prefix="inputs/")


def test_the_price_stands_there_before_the_press(browser: Browser) -> None:
    browser.deploy()
    up = browser.post("/price", Prompt="a", Samples="4", Iterations="1").json()
    assert up["in_words"].startswith("4 images on g6.xlarge: about ")
    assert (up["start_seconds"], up["images"]) == (0, 4)
    draft = browser.post("/price", Prompt="a", Samples="4", Iterations="1", Quality="draft").json()
    best = browser.post("/price", Prompt="a", Samples="4", Iterations="1", Quality="best").json()
    assert draft["usd"] < up["usd"] < best["usd"]
    browser.account.ec2.stop_instances(InstanceIds=[browser.account.instance_id])
    down = browser.post("/price", Prompt="a", Samples="4", Iterations="1").json()
    assert down["usd"] > up["usd"]
    assert "until it is up" in down["in_words"]


def test_images_come_one_by_one(browser: Browser) -> None:
    browser.deploy()
    run_id = browser.draw(JOB, upto=1)
    news = News(browser.client.app.state.account, [run_id])  # type: ignore[attr-defined]
    first = "".join(news.come())
    assert "event: machine" in first
    assert f'id="image-{run_id}-0"' in first
    assert "1 of 2 images" in first
    assert news.come() == []
    browser.draw(JOB)
    second = "".join(news.come())
    assert second.count("event: image") == 1
    assert f'id="image-{run_id}-1"' in second
    assert "Done, 2 of 2 images." in second
    assert news.runs == [], "a run that is over is not asked for again"


def test_a_run_that_comes_from_elsewhere_appears(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MACHINE_SECONDS", 0.0)
    browser.deploy(Prompt="a cat")
    news = News(browser.client.app.state.account, [])  # type: ignore[attr-defined]
    assert "appeared" not in "".join(news.come())
    run_id = browser.draw(JOB, upto=1)
    for hostile in ("[red] a", "a" * 200, "Z\u202e"):  # which are none of a run, and cost themselves alone
        browser.account.put(RunKeys(hostile).status, b"{}")
    told = "".join(news.come())
    assert told.count("event: appeared") == 1
    assert f"event: appeared\ndata: {run_id}\n" in told
    assert f'id="image-{run_id}-0"' in told, "a new stream for it would miss the runs that appear until it is there"
    assert "appeared" not in "".join(news.come())
    deployed = browser.draw(Job(prompt="a cat", model="demo"), upto=1)
    late = News(browser.client.app.state.account, [])  # type: ignore[attr-defined]
    told = "".join(late.come())
    assert f"event: appeared\ndata: {deployed}\n" in told, "the page may have been there before the worker"
    assert run_id not in told


def test_what_happens_to_aws_is_told_and_what_was_typed_stays(browser: Browser) -> None:
    browser.deploy()
    run_id = browser.draw(JOB)
    news = News(browser.client.app.state.account, [run_id])  # type: ignore[attr-defined]
    browser.account.session.events.register_first("before-call", refusal("ExpiredToken"))
    page = browser.client.get("/", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "AWS says ExpiredToken: no. Log in again: `aws sso login`" in page.text
    assert 'name="Prompt"' in page.text
    assert "AWS says ExpiredToken" in "".join(news.come())
    assert "AWS says ExpiredToken" in browser.post("/generate", Prompt="a").json()["refusals"][""]
    for address in ("/runs", f"/runs/{run_id}", "/stop", "/teardown", f"/runs/{run_id}/images/0"):
        assert "AWS says ExpiredToken" in browser.get(address).json()["error"]
    opened = browser.opened
    browser.get("/status")
    assert browser.opened == opened + 1, "after a log-in there are other credentials"


def test_without_a_stack_the_page_offers_the_local_cloud(browser: Browser) -> None:
    page = browser.client.get("/", headers={"Accept": "text/html"})
    assert "sd studio --local" in page.text
    assert "There is no stack SdOnEc2" in browser.post("/generate", Prompt="a").json()["refusals"][""]


def test_a_record_fills_the_form_and_a_hostile_file_gets_a_sentence(browser: Browser) -> None:
    browser.deploy()
    values = browser.drop("/restore", png_of(JOB, 1)).json()["values"]
    assert (values["Prompt"], values["Seed"], values["Samples"]) == (PROMPT, "8", "1")
    sent = browser.post("/generate", **values).json()
    assert browser.job(sent["run_id"]).prompt == PROMPT
    for content in (b"", b"GIF89a", plain_png(), png_of(JOB)[:200], png_of(JOB).replace(b'"demo"', b'"nope"')):
        refused = browser.drop("/restore", content)
        assert refused.status_code == 422
        assert refused.json()["error"].endswith(".")
    with pytest.raises(CommandError, match="cannot be drawn by this version"):
        values_of(record_in_png(png_of(JOB)).model_copy(update={"index": 9}))  # of an earlier version


def test_an_image_shows_its_record_and_the_command_that_makes_it_again(browser: Browser) -> None:
    browser.deploy()
    run_id = browser.draw(JOB)
    seen = browser.get(f"/runs/{run_id}/images/1").json()
    assert seen["values"]["Seed"] == "8"
    assert seen["command"].startswith("sd generate --")
    file = browser.client.get(f"/runs/{run_id}/images/1.png")
    assert (file.content, file.headers["content-type"]) == (browser.read(seen["key"]), "image/png")
    assert browser.get(f"/runs/{run_id}/images/9").status_code == 422
    assert browser.get("/runs/..%2Finputs/images/0.png").status_code in (404, 422)


def test_a_command_that_is_pasted_is_one_line_that_types_nothing_else(browser: Browser) -> None:
    browser.deploy()
    record = record_in_png(png_of(JOB))
    typed = "a\x1b[201~\nrm -rf ~ \x15\u202e"
    hostile = record.model_copy(update={"batch": [dataclasses.replace(record.batch[0], prompt=typed)]})
    browser.account.put(RunKeys("a-run").image(0), png_with_record(Image.new("RGB", (64, 64)), hostile))
    command = browser.get("/runs/a-run/images/0").json()["command"]
    assert printable(command) == command
    assert "\n" not in command
    assert typed in browser.get("/runs/a-run/images/0").json()["values"].values()


def test_inpainting_takes_a_mask_from_the_page(browser: Browser) -> None:
    browser.deploy()
    run_id = browser.draw(JOB)
    key = browser.get(f"/runs/{run_id}/images/0").json()["key"]
    mask = browser.drop("/inputs", half_white(128), parameter="InitMask").json()["key"]
    sent = browser.post("/generate", Prompt="a dog", InitImage=key, InitMask=mask, Seed="1")
    assert sent.status_code == 200, sent.text
    job = browser.job(sent.json()["run_id"])
    assert (job.init_img, job.init_mask, job.H, job.W) == (key, mask, 128, 128)
    other = browser.drop("/inputs", half_white(64), parameter="InitMask").json()["key"]
    refused = browser.post("/generate", Prompt="a dog", InitImage=key, InitMask=other, Seed="1").json()
    assert "64 × 64 pixels, and the initial image 128 × 128" in refused["refusals"]["InitMask"]
    assert browser.drop("/inputs", b"no picture").json()["error"].startswith("InitImage cannot be read as an image")


def half_white(edge: int) -> bytes:
    import io

    from PIL import Image

    image = Image.new("L", (edge, edge))
    image.paste(255, (0, 0, edge // 2, edge))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_a_grid_is_a_table_of_runs_whose_address_shows_it_again(browser: Browser) -> None:
    browser.deploy()
    typed = {"Prompt": "a horse", "Seed": "-1", "X": "Steps", "Xs": "2..4", "Y": "GuidanceScale", "Ys": "2, 3"}
    priced = browser.post("/price", FRAGMENT, **typed).text
    assert "The grid: 6 images" in priced
    grid = browser.post("/grid", **typed).json()
    assert len(set(browser.sent())) == 6
    assert grid["x"] == {"option": "Steps", "values": ["2", "3", "4"]}
    jobs = [browser.job(cell["run_id"]) for cell in grid["cells"]]
    assert [(job.ddim_steps, job.scale, job.images_total) for job in jobs[:4]] == [
        (2, 2.0, 1),
        (3, 2.0, 1),
        (4, 2.0, 1),
        (2, 3.0, 1),
    ]
    assert len({job.seed for job in jobs}) == 1, "or no two images could be compared"
    again = browser.get(grid["address"]).json()
    assert [cell["run_id"] for cell in again["cells"]] == [cell["run_id"] for cell in grid["cells"]]
    page = browser.client.get(grid["address"], headers={"Accept": "text/html"}).text
    assert '<th scope="col">Steps 2</th>' in page
    assert '<th scope="row">GuidanceScale 3</th>' in page
    for job in jobs:
        browser.draw(job)
    fixed = {**typed, "Seed": str(jobs[0].seed)}
    assert 'hx-trigger="load"' not in browser.post("/grid", FRAGMENT, **fixed).text, "all of it is there already"
    assert 'hx-trigger="load"' in browser.post("/grid", FRAGMENT, **typed).text
    wrong = browser.post("/grid", **{**typed, "Ys": "2,2"})
    assert wrong.json()["error"] == "--grid GuidanceScale=2,2 has a value twice."
    assert "may have 64 here" in browser.post("/grid", **{**typed, "Xs": "1..40"}).json()["error"]


def test_the_machine_is_held_only_while_it_runs(browser: Browser) -> None:
    browser.deploy()
    told = browser.post("/awake").json()["told"]
    assert "for your next prompt. That costs about $0.13." in told
    held = browser.hold()
    assert held
    assert browser.get("/status").json()["held_until"] == held.until.isoformat()
    browser.account.s3.delete_object(Bucket=browser.account.bucket, Key=f"holds/{browser.account.instance_id}.json")
    browser.account.ec2.stop_instances(InstanceIds=[browser.account.instance_id])
    assert browser.post("/awake").json()["told"] is None
    assert browser.hold() is None


def test_a_stop_says_what_it_cuts_off_and_what_it_saves_before_it_is_done(browser: Browser) -> None:
    browser.deploy(Prompt="a cat")
    asked = browser.client.get("/stop", headers=FRAGMENT).text
    assert "This cuts off run a-cat-" in asked
    assert "$0.8048 an hour" in asked
    assert "the disk, 100 GB: $8.00 a month" in asked
    assert browser.account.state() == "running"
    more = browser.client.get("/teardown", headers=FRAGMENT).text
    assert "$0.8048 an hour" in more
    assert "The deletion ends that, as a stop does." in more
    assert "Beyond a stop it saves:</p><ul><li>the disk, 100 GB: $8.00 a month</li>" in more
    told = browser.post("/stop").json()["told"]
    assert browser.account.state() == "stopped"
    assert told[-1].startswith(f"Stopped {browser.account.instance_id}.")
    assert browser.get("/teardown").json()["command"] == "sd teardown"
    assert "an hour" not in browser.client.get("/teardown", headers=FRAGMENT).text


def test_an_instance_that_is_gone_is_sent_nothing(browser: Browser) -> None:
    browser.deploy()
    browser.account.ec2.terminate_instances(InstanceIds=[browser.account.instance_id])
    for address in ("/generate", "/grid"):
        told = browser.post(address, Prompt="a", X="Steps", Xs="2,3").text
        assert "was terminated, so nothing can be drawn on it" in told
    assert browser.sent() == []


def test_an_error_of_the_studio_itself_is_a_sentence(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.studio.answers.looking.latest_runs", lambda *_, **__: 1 / 0)
    browser.deploy()
    client = TestClient(browser.client.app, base_url=str(browser.client.base_url), raise_server_exceptions=False)
    client.cookies = browser.client.cookies
    answer = client.get("/runs", headers=FRAGMENT)
    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    assert "`sd report`" in answer.text
