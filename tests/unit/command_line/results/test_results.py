"""Reading results: nothing twice, nothing half, nothing outside the folder, and words where it fails."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.handlers
import pytest
from rich.console import Console
from typer.testing import CliRunner

from scripts.command_line.account.results_bucket import find_bucket
from scripts.command_line.account.runs import choose_runs, list_runs, read_run
from scripts.command_line.main import app
from scripts.command_line.results.download import LeftOut, download, files_of
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.plain_text import on_one_line
from tests.unit.command_line.conftest import Account, refusal
from userdata.contract.layout import RunKeys
from userdata.contract.status import Failure, Status, utc_text

QUIET = Console(quiet=True)
BOOT = {
    "started_at": "2026-01-01T00:00:00Z",
    "error": None,
    "phases": [{"phase": "weights", "started_at": "2026-01-01T00:00:01Z", "seconds": 1.5}],
}


def results(*arguments: str) -> tuple[int, list[str]]:
    outcome = CliRunner().invoke(app, ["results", "--region", "us-east-1", *arguments])
    if outcome.exception and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return outcome.exit_code, outcome.stdout.splitlines()


def test_one_run_ends_with_the_folder_that_holds_just_its_images(account: Account, tmp_path: Path) -> None:
    account.deploy()
    account.put_run("a-horse-0123456789", images=3)
    outcome = CliRunner().invoke(app, ["results", "--region", "us-east-1", "--to", str(tmp_path)])
    assert (outcome.exit_code, outcome.stderr) == (0, ""), "nobody sees a progress bar, nor what Rich puts below it"
    lines = outcome.stdout.splitlines()
    folder = tmp_path / "a-horse-0123456789/txt2img-samples/samples"
    assert lines[-1] == f"3 images -> {folder}"
    assert len(list(folder.glob("*.png"))) == 3
    assert (tmp_path / "a-horse-0123456789/txt2img-samples/grid-0000.png").exists()


def test_all_runs_are_listed_the_latest_last_and_a_failure_says_why(account: Account, tmp_path: Path) -> None:
    account.deploy()
    account.put_run("b-second", started_at="2026-01-02T00:00:00Z", images=1)
    account.put_run("a-third", started_at="2026-01-03T00:00:00Z", images=0, phase="failed")
    account.put_run("c-first", started_at="2026-01-01T00:00:00Z", images=2)
    _, lines = results("--to", str(tmp_path))
    listed = [line.split()[0] for line in lines if line.startswith(("a-", "b-", "c-"))]
    assert listed[:3] == ["c-first", "b-second", "a-third"]
    assert "a-third failed at weights: The disk is full." in lines
    assert lines[-1] == f"3 images -> {tmp_path}"


def test_what_others_wrote_is_shown_and_neither_obeyed_nor_taken_for_markup(account: Account) -> None:
    account.deploy()
    run_id = "[red]a-horse\x1b[2J"
    failure = Failure("weights", "No [/bold] \x1b]0;title\x07.", "")
    account.put(RunKeys(run_id).status, Status(run_id, "i-1", "failed", 0, 1, error=failure).to_json().encode())
    _, lines = results("--list")
    assert lines[1].startswith("[red]a-horse\\x1b[2J ")
    assert lines[-1] == "[red]a-horse\\x1b[2J failed at weights: No [/bold] \\x1b]0;title\\x07."


def test_listing_alone_downloads_nothing(account: Account, tmp_path: Path) -> None:
    account.deploy()
    account.put_run("a-horse")
    results("--list", "--to", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_what_is_here_is_not_downloaded_again_and_what_was_cut_off_is(account: Account, tmp_path: Path) -> None:
    account.deploy()
    account.put_run("a-horse")
    files = list(files_of(account.s3, account.bucket, "a-horse", tmp_path, LeftOut()))
    assert download(account.s3, account.bucket, files, tmp_path, QUIET, LeftOut()) == len(files) == 6
    assert download(account.s3, account.bucket, files, tmp_path, QUIET, LeftOut()) == 0
    image = next(file.path for file in files if file.path.name == "00001.png")
    whole = image.read_bytes()
    image.write_bytes(whole[:-1] + b"x")
    assert download(account.s3, account.bucket, files, tmp_path, QUIET, LeftOut()) == 1
    assert image.read_bytes() == whole
    assert not [file for file in tmp_path.rglob("*") if file.name.startswith(".")]


def from_now_on(patch: pytest.MonkeyPatch, event: str, act: Callable[..., Any]) -> None:
    """Every session of botocore does that at its event."""
    patch.setattr(botocore.handlers, "BUILTIN_HANDLERS", [*botocore.handlers.BUILTIN_HANDLERS, (event, act)])


def also_listed(patch: pytest.MonkeyPatch, keys: Iterable[str]) -> None:
    """From now on S3 lists these keys too. moto would not store some of them, as S3 does."""

    def add(parsed: dict[str, Any], **_: object) -> None:
        prefix, listed = parsed["Prefix"], {entry["Key"]: entry for entry in parsed.get("Contents", [])}
        of_one = {"Size": 1, "ETag": '"1"', "LastModified": datetime.now(UTC)}
        inside = [key for key in keys if key.startswith(prefix)]
        if parsed.get("Delimiter"):
            folders = {key[: key.index("/", len(prefix)) + 1] for key in inside}
            known = {one["Prefix"] for one in parsed.get("CommonPrefixes", [])}
            parsed["CommonPrefixes"] = [{"Prefix": one} for one in sorted(known | folders)]
            return
        listed |= {key: {"Key": key, **of_one} for key in inside}
        parsed["Contents"] = [listed[key] for key in sorted(listed)]

    from_now_on(patch, "after-call.s3.ListObjectsV2", add)


RUN = "a-horse-0123456789"
HOSTILE = {
    f"runs/{RUN}/../../escaped.png": "leads elsewhere",
    f"runs/{RUN}/x/../../../../escaped.png": "leads elsewhere",
    f"runs/{RUN}/txt2img-samples/./samples/00000.png": "leads elsewhere",
    f"runs/{RUN}//etc/passwd": "leads elsewhere",
    f"runs/{RUN}/a\x00b": "a terminal obeys or hides",
    f"runs/{RUN}/\x1b]0;title\x07": "a terminal obeys or hides",
    f"runs/{RUN}/two\nlines": "a terminal obeys or hides",
    f"runs/{RUN}/\u202egnp.exe": "a terminal obeys or hides",
    f"runs/{RUN}/{'long' * 100}.png": "too long",
    f"runs/{RUN}/{'/'.join(['deep' * 20] * 60)}.png": "File name too long",
    f"runs/{RUN}/txt2img-samples": "a folder of the run has its name",
    f"runs/{RUN}/txt2img-samples/samples": "a folder of the run has its name",
    f"runs/{RUN}/txt2img-samples/samples/00000.png/x": "another object has the name of its folder",
    f"runs/{RUN}/status.json/x": "another object has the name of its folder",
    f"runs/{RUN}/txt2img-samples/samples/99999.png": "S3 answers 404",
    "runs/../x": "leads elsewhere",
    "runs//etc/passwd": "leads elsewhere",
    "runs/\x1b[2J/x": "a terminal obeys or hides",
    f"runs/{'long' * 100}/x": "too long",
    f"runs/{RUN}.zip/x": "no run has such a name",
    f"runs/{RUN}.csv.part/x": "no run has such a name",
    f"runs/{RUN.upper()}/x": "no run has such a name",
    "runs/index.html/x": "no run has such a name",
}


def test_a_hostile_key_costs_that_one_object(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.command_line.results.download.MOST_NAMED", len(HOSTILE))
    account.deploy()
    for run_id in (RUN, "a-tree-0123456789", "z-0123456789"):
        account.put_run(run_id)
    also_listed(monkeypatch, HOSTILE)
    to = tmp_path / "deep" / "results"
    outcome = CliRunner().invoke(app, ["results", "--region", "us-east-1", "--to", str(to), "--zip", "--csv"])
    assert isinstance(outcome.exception, CommandError), outcome.output
    assert outcome.exception.exit_status == 1
    told = str(outcome.exception)
    assert told.startswith(f"{len(HOSTILE)} objects were not downloaded. Everything else is here")
    assert told.isprintable() is False  # the lines
    assert all(line.isprintable() for line in told.splitlines())
    assert len(told.splitlines()) == 1 + len(HOSTILE)
    for key, why in HOSTILE.items():
        whole_run = key.startswith(f"runs/{RUN}/")
        named = on_one_line(key if whole_run else f"{key.rpartition('/')[0]}/".replace("//etc/", "//"))
        assert any(line.startswith(f"  {named}: ") and why in line for line in told.splitlines()), key
    assert "6 images -> " in outcome.output
    for run_id in (RUN, "a-tree-0123456789", "z-0123456789"):
        assert len(list((to / run_id).rglob("*.png"))) == 3
        assert zipfile.ZipFile(to / f"{run_id}.zip").namelist() == [f"{run_id}/{index:05}.png" for index in range(2)]
        assert len((to / f"{run_id}.csv").read_text().splitlines()) == 3
    assert {file.name for file in tmp_path.iterdir()} == {"deep"}
    assert {file.name for file in to.parent.iterdir()} == {"results"}


@pytest.mark.parametrize(
    "command", [["status"], ["status", "--timeline"], ["report"], ["watch", RUN], ["cost", "--actual"]], ids=" ".join
)
def test_what_others_named_or_locked_ends_no_other_command(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    account.deploy()
    account.put_run(RUN)
    boots = f"boots/{account.instance_id}/"
    account.put(f"{boots}2026-01-01T00:00:00Z.json", json.dumps(BOOT).encode())
    odd = (f"{boots}{name}.json" for name in ("../x", "a\x00b", "\x1b[2J", "locked", "z" * 900))
    also_listed(monkeypatch, [*HOSTILE, *odd])

    def locked(params: dict[str, Any], **_: object) -> None:
        if RUN not in params["url_path"] and "2026" not in params["url_path"]:
            refusal("InvalidRequest")(model=account.s3.meta.service_model.operation_model("GetObject"))

    from_now_on(monkeypatch, "before-call.s3.GetObject", locked)
    outcome = CliRunner().invoke(app, [*command, "--region", "us-east-1"])
    assert outcome.exception is None, outcome.exception
    assert "\x1b" not in outcome.output


def test_a_folder_that_cannot_be_written_is_a_sentence(account: Account, tmp_path: Path) -> None:
    account.deploy()
    account.put_run("a-horse")
    (tmp_path / "file").write_text("in the way")
    files = list(files_of(account.s3, account.bucket, "a-horse", tmp_path / "file", LeftOut()))
    with pytest.raises(CommandError, match="Could not write .* Name another folder: --to FOLDER"):
        download(account.s3, account.bucket, files, tmp_path / "file", QUIET, LeftOut())


def test_runs_are_chosen_by_the_beginning_of_their_name(account: Account) -> None:
    account.deploy()
    for run_id in ("a-horse-1", "a-horse-12", "a-tree-1"):
        account.put_run(run_id)
    runs = list_runs(account.s3, account.bucket)
    assert [run.run_id for run in choose_runs(runs, ["a-t", "a-horse-1"])] == ["a-tree-1", "a-horse-1"]
    with pytest.raises(CommandError, match="More than one run begins with a-h.*a-horse-1, a-horse-12"):
        choose_runs(runs, ["a-h"])
    with pytest.raises(CommandError, match="There is no run b"):
        choose_runs(runs, ["b"])


def test_a_status_that_cannot_be_read_hides_no_images_and_is_told(account: Account, tmp_path: Path) -> None:
    account.deploy()
    account.put_run("a-horse", images=2)
    account.put("runs/a-horse/status.json", b"{half")
    _, lines = results("--to", str(tmp_path))
    assert lines[-1].startswith("2 images -> ")
    assert [line for line in lines if line.startswith("a-horse: runs/a-horse/status.json is broken, or")]


def test_a_run_that_waits_is_read_by_a_request_for_each_of_its_documents(account: Account) -> None:
    account.deploy()
    keys = RunKeys("a-0123456789")
    account.put(keys.job, b"{}")
    asked: list[str] = []
    account.s3.meta.events.register(
        "provide-client-params.s3.GetObject", lambda params, **_: asked.append(params["Key"])
    )
    assert read_run(account.s3, account.bucket, keys.run_id).state == "waits"
    assert asked == [keys.status, keys.batch, keys.job]


def test_what_may_not_be_read_is_told_with_the_right_that_is_missing(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a run that has begun does not seem to wait."""
    account.deploy()
    account.put_run("a-horse")
    account.put("runs/a-horse/job.json", b"{}")
    refused = refusal("AccessDenied", 403)

    def refuse_status(params: dict[str, Any], model: Any, **_: Any) -> None:
        if params["Key"].endswith("status.json"):
            refused(model=model)

    account.s3.meta.events.register("provide-client-params.s3.GetObject", refuse_status)
    [run] = list_runs(account.s3, account.bucket)
    assert run.state == "unknown"
    assert "AWS says AccessDenied" in run.told
    assert "You lack a right to call GetObject: docs/threat-model.md has policies" in run.told


def test_the_bucket_of_a_destroyed_stack_is_found(account: Account) -> None:
    account.deploy()
    account.put_run("a-horse")
    account.session.client("cloudformation").delete_stack(StackName="SdOnEc2")
    second = "sdonec2-resultsbucket46167c27-second"
    account.make_bucket("of-another-stack", stack="SdOnEc2-2")
    account.make_bucket("sdonec2-resultsbucket46167c27-elsewhere", region="eu-west-1")
    account.make_bucket(second)  # left behind, empty, by a creation that failed
    for bucket in ("of-another-stack", "sdonec2-resultsbucket46167c27-elsewhere"):
        account.put_into(bucket, "runs/a-tree/job.json", b"{}")
    assert find_bucket(account.session, stack="SdOnEc2", bucket=None) == account.bucket
    account.put_into(second, "runs/a-tree/job.json", b"{}")
    with pytest.raises(CommandError, match=r"several buckets.*--bucket sdonec2"):
        find_bucket(account.session, stack="SdOnEc2", bucket=None)


def test_nothing_deployed_is_a_sentence(account: Account) -> None:
    with pytest.raises(CommandError, match="There is no stack SdOnEc2 in us-east-1"):
        find_bucket(account.session, stack="SdOnEc2", bucket=None)


def listed(account: Account, *words: str) -> dict[str, str]:
    """The state of each run."""
    _, lines = results("--list", *words)
    return dict(re.findall(r"^([a-z-]+) .* (\w+) +\d+ of \d+$", "\n".join(lines), re.MULTILINE))


def put_status(account: Account, run_id: str, instance_id: str, *, hours_ago: float = 0) -> None:
    written = json.loads(Status(run_id, instance_id, "generating", 1, 4).to_json())
    written["updated_at"] = utc_text(datetime.now(UTC) - timedelta(hours=hours_ago))
    account.put(RunKeys(run_id).status, json.dumps(written).encode())


def test_a_run_whose_machine_is_gone_or_works_on_another_is_interrupted(account: Account) -> None:
    account.deploy()
    put_status(account, "at-work", account.instance_id)
    put_status(account, "replaced-by-another-run", account.instance_id, hours_ago=1)  # before the instance was started
    put_status(account, "forgotten-by-ec-two", "i-0123456789abcdef0", hours_ago=2)
    put_status(account, "in-another-region", "i-0123456789abcdef1")
    put_status(account, "at-an-odd-machine", "no instance", hours_ago=2)
    account.put_run("done", phase="done")
    interrupted, going = "interrupted", "generating"
    others = {"forgotten-by-ec-two": interrupted, "in-another-region": going, "at-an-odd-machine": interrupted}
    others |= {"replaced-by-another-run": interrupted, "done": "done"}
    assert listed(account) == {**others, "at-work": going}
    assert "it goes on when it is deployed or asked for again" in "\n".join(results("--list")[1])
    # After a teardown in mid-run.
    account.ec2.terminate_instances(InstanceIds=[account.instance_id])
    account.session.client("cloudformation").delete_stack(StackName="SdOnEc2")
    # EC2 may have forgotten a machine that was terminated a minute ago.
    assert listed(account) == {**others, "at-work": interrupted, "in-another-region": interrupted}
    assert "The stack of what is interrupted was deleted" in "\n".join(results("--list")[1])


def test_who_may_not_look_at_instances_sees_what_runs_say(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.deploy()
    put_status(account, "a-horse", account.instance_id)
    account.ec2.terminate_instances(InstanceIds=[account.instance_id])
    refused = ("before-call.ec2", refusal("UnauthorizedOperation", 403))
    monkeypatch.setattr(botocore.handlers, "BUILTIN_HANDLERS", [*botocore.handlers.BUILTIN_HANDLERS, refused])
    assert listed(account, "--bucket", account.bucket) == {"a-horse": "generating"}
