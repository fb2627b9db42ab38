import hashlib
import json
import logging
import os
import shlex
import sys
from pathlib import Path

import boto3
import pytest

from tests.unit.boot.conftest import Machine
from tests.unit.boot.given_machine import given_machine
from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.cache import Cache, Entry, State, read_notes, write_notes
from userdata.boot.machine.commands import User
from userdata.boot.save_cache import save_cache
from userdata.boot.steps import kernels
from userdata.boot.steps.kernels import provide_kernels
from userdata.contract.layout import Folders
from userdata.contract.patience import Patience

KEY = "cache/env/0123/"
WEIGHTS = b"weights" * 1000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
WEIGHTS_KEY = f"cache/weights/{SHA256}/model.safetensors"


class Host:
    """A machine's disk, as far as the cache sees it."""

    def __init__(self, folder: Path, bucket: str) -> None:
        self.folders = Folders(str(folder))
        self.bucket = Bucket(bucket)
        self.environment = self.folders.conda / "envs/ldm"
        self.weights = self.folders.models / "model.safetensors"

    def boots(self) -> Cache:
        return Cache(self.bucket, self.folders.cache_notes)

    def fetches(self) -> Cache:
        """The cache as the process apart sees it, which fetches files."""
        return Cache(self.bucket, self.folders.fetched_notes)

    def builds(self, content: str = "built") -> None:
        self.environment.mkdir(parents=True, exist_ok=True)
        (self.environment / "python").write_text(content)

    def succeeds(self) -> None:
        save_cache(self.folders, self.bucket)

    @property
    def kept(self) -> set[str]:
        file = self.folders.cache_kept
        return set(json.loads(file.read_text())) if file.exists() else set()

    @property
    def states(self) -> dict[str, State]:
        notes = (self.folders.cache_notes, self.folders.fetched_notes)
        return {entry.key: entry.state for file in notes for entry in read_notes(file)}


@pytest.fixture
def first(tmp_path: Path, bucket_name: str) -> Host:
    return Host(tmp_path / "first", bucket_name)


@pytest.fixture
def second(tmp_path: Path, bucket_name: str) -> Host:
    return Host(tmp_path / "second", bucket_name)


def keys(bucket: Bucket) -> list[str]:
    return [entry["Key"] for entry in boto3.client("s3").list_objects_v2(Bucket=bucket.name).get("Contents", [])]


def first_boot(host: Host) -> None:
    cache = host.boots()
    assert not cache.take_folder(KEY, host.environment, None)
    host.builds()
    cache.has(KEY, host.environment, built_from={})
    cache = host.fetches()
    assert not cache.take_file(WEIGHTS_KEY, host.weights, sha256=SHA256)
    host.weights.parent.mkdir(parents=True, exist_ok=True)
    host.weights.write_bytes(WEIGHTS)
    cache.has(WEIGHTS_KEY, host.weights, built_from={})
    cache.mark_unkept(host.folders.fetched_unkept)
    assert host.folders.fetched_unkept.exists()


def test_the_second_machine_takes_what_the_first_has_kept(first: Host, second: Host) -> None:
    first_boot(first)
    assert keys(first.bucket) == []
    first.succeeds()
    assert first.kept == {KEY, WEIGHTS_KEY}
    cache = second.boots()
    assert cache.take_folder(KEY, second.environment, None)
    assert cache.has_served()
    assert not cache.has_served()
    assert cache.take_file(WEIGHTS_KEY, second.weights, sha256=SHA256)
    assert (second.environment / "python").read_text() == "built"
    assert second.weights.read_bytes() == WEIGHTS
    assert set(second.states.values()) == {State.KEPT}


def test_what_is_kept_already_is_not_written_again(first: Host, second: Host) -> None:
    first_boot(first)
    first_boot(second)
    first.succeeds()
    boto3.client("s3").put_object(Bucket=first.bucket.name, Key=WEIGHTS_KEY, Body=b"x" * len(WEIGHTS))
    before = keys(first.bucket)
    second.builds("built elsewhere")
    second.succeeds()
    assert keys(first.bucket) == before
    assert second.kept == {KEY, WEIGHTS_KEY}


def test_what_is_kept_is_not_looked_for_again(first: Host) -> None:
    first_boot(first)
    first.succeeds()
    first.boots().has(KEY, first.environment, built_from={})
    for entry in keys(first.bucket):
        boto3.client("s3").delete_object(Bucket=first.bucket.name, Key=entry)
    first.succeeds()
    assert keys(first.bucket) == []


def test_a_link_in_the_place_of_the_worker_s_folder_is_not_followed(
    first: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither while root asks whether there is anything to keep, nor when it is kept."""
    secrets = first.folders.root / "root"
    secrets.mkdir(parents=True)
    (secrets / "id_rsa").write_text("secret")
    first.folders.compiled.parent.mkdir(parents=True)
    first.folders.compiled.symlink_to(secrets)
    entry = Entry("cache/compile/0123/", str(first.folders.compiled), fingerprint="")
    write_notes(first.folders.cache_notes, [entry])
    first.succeeds()
    assert keys(first.bucket) == []
    assert "is a link" in caplog.text
    secrets.rename(secrets.with_name("gone"))
    assert entry.wanted  # by what the boot has noted, whatever lies there


def test_a_broken_entry_is_told_and_gets_another_version(
    first: Host, second: Host, caplog: pytest.LogCaptureFixture
) -> None:
    first_boot(first)
    first.succeeds()
    s3 = boto3.client("s3")
    s3.put_object(Bucket=first.bucket.name, Key=f"{KEY}manifest.json", Body=b"{")
    s3.put_object(Bucket=first.bucket.name, Key=WEIGHTS_KEY, Body=b"x" * len(WEIGHTS))
    with caplog.at_level(logging.WARNING):
        first_boot(second)
    assert "of no use: the manifest is not one" in caplog.text
    assert "of no use: its SHA-256 is" in caplog.text
    broken = {key: s3.get_object(Bucket=first.bucket.name, Key=key)["ETag"] for key in keys(first.bucket)}
    second.succeeds()
    assert (
        broken.items()
        < {key: s3.get_object(Bucket=first.bucket.name, Key=key)["ETag"] for key in keys(first.bucket)}.items()
    )
    third = Host(second.folders.root.parent / "third", first.bucket.name)
    cache = third.boots()
    assert cache.take_folder(KEY, third.environment, None)
    assert cache.take_file(WEIGHTS_KEY, third.weights, sha256=SHA256)


def test_a_bucket_that_refuses_ends_nothing(first: Host, caplog: pytest.LogCaptureFixture) -> None:
    # test_bucket.py proves that it is tried again.
    first.bucket = Bucket("there-is-no-such-bucket-0123", patience=Patience(attempts=1))
    first_boot(first)
    with caplog.at_level(logging.WARNING):
        first.succeeds()
    assert "was not kept for the next machine" in caplog.text
    assert first.kept == set()


@pytest.mark.parametrize("text", ["", "{", "[]", "[1]", '[{"key": "a"}]', '[{"state": "lost"}]'])
def test_notes_that_are_none_are_forgotten(tmp_path: Path, text: str) -> None:
    notes = tmp_path / "cache.json"
    notes.write_text(text)
    assert read_notes(notes) == []


def kernels_of(host: Host, settings: dict[str, str] | None = None) -> Path | None:
    machine = given_machine(host.folders.root, settings, cache=host.boots())
    return provide_kernels(machine, environment=KEY)


def add_card(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = folder / "bin"
    commands.mkdir()
    (commands / "nvidia-smi").write_text("#!/bin/sh\necho NVIDIA A10G, 595.10\n")
    (commands / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=":")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look where another user cannot")
def test_root_does_not_look_into_kernels_that_came_from_the_bucket(
    first: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_card(tmp_path, monkeypatch)
    monkeypatch.setattr(kernels, "fetcher", lambda _: User("nobody", tmp_path))
    first.folders.compiled_before.mkdir(parents=True)
    first.folders.compiled_before.chmod(0o700)
    assert kernels_of(first) is None, "who unpacks it has not looked into it"


def test_kernels_are_kept_when_they_have_grown(
    first: Host, second: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_card(tmp_path, monkeypatch)
    assert kernels_of(first) is None
    first.succeeds()
    assert keys(first.bucket) == []
    first.folders.compiled.mkdir(parents=True)
    (first.folders.compiled / "one.cubin").write_text("kernel")
    (first.folders.compiled / "__grp__one.json").write_text("/first/one.cubin")
    first.succeeds()

    before = kernels_of(second)
    assert before is not None
    assert (before / "one.cubin").read_text() == "kernel"
    count = len(keys(first.bucket))
    second.folders.compiled.mkdir(parents=True)
    (second.folders.compiled / "one.cubin").write_text("kernel")
    # Nothing has grown, although the worker lets Triton's file name a folder with a longer name.
    (second.folders.compiled / "__grp__one.json").write_text("/the second machine/one.cubin")
    second.succeeds()
    assert len(keys(first.bucket)) == count
    (second.folders.compiled / "two.cubin").write_text("another kernel")
    second.succeeds()
    assert len(keys(first.bucket)) == 2 * count

    assert kernels_of(second) == before
    second.succeeds()
    assert len(keys(first.bucket)) == 2 * count
    third = Host(second.folders.root.parent / "third", first.bucket.name)
    grown = kernels_of(third)
    assert grown is not None
    assert (grown / "two.cubin").exists()
    assert kernels_of(second, {"SD_DEVICE": "cpu"}) is None


def note_something(machine: Machine) -> None:
    file = machine.folders.models / "model.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(WEIGHTS)
    write_notes(machine.folders.fetched_notes, [Entry(WEIGHTS_KEY, str(file))])
    machine.folders.fetched_unkept.touch()


def end_worker(machine: Machine, **variables: str) -> None:
    machine.write_parameters()
    ending = {"SERVICE_RESULT": "success", "EXIT_CODE": "exited", "EXIT_STATUS": "0", **variables}
    machine.end_worker(**machine.worker_environment(), **ending)


def test_a_success_keeps_what_is_not_kept_and_powers_off_afterwards(machine: Machine) -> None:
    note_something(machine)
    end_worker(machine)
    assert machine.calls[-1] == "systemctl start sd-cache"


@pytest.mark.parametrize("after_run", ["stop", "keep"])
def test_the_machine_ends_as_asked_once_the_cache_is_written(machine: Machine, after_run: str) -> None:
    machine.parameters["AfterRun"] = after_run
    machine.write_parameters()
    script = machine.folder / "after"
    script.write_text(f"cd {shlex.quote(str(machine.folders.bundle))} && exec python3 -m userdata.boot.after_cache")
    machine.bash(script)
    assert machine.calls == ([] if after_run == "keep" else ["shutdown -P now"])


def test_nothing_to_keep_powers_off_at_once(machine: Machine) -> None:
    end_worker(machine)
    assert machine.calls[-1] == "shutdown -P now"


def test_a_unit_that_does_not_start_powers_off_at_once(machine: Machine) -> None:
    note_something(machine)
    machine.command("systemctl", f'echo "systemctl $*" >>"{machine.folder}/calls"; [[ $1 != start ]]')
    end_worker(machine)
    assert machine.calls[-2:] == ["systemctl start sd-cache", "shutdown -P now"]


def test_a_failure_keeps_nothing(machine: Machine) -> None:
    note_something(machine)
    end_worker(machine, SERVICE_RESULT="exit-code", EXIT_STATUS="1")
    assert machine.calls[-1] == "shutdown -P now"
    assert "systemctl start sd-cache" not in machine.calls


def test_switched_off_nothing_is_asked_for_and_nothing_kept(machine: Machine) -> None:
    machine.parameters["Cache"] = "off"
    note_something(machine)
    assert machine.boot().returncode == 0
    folders = machine.folders
    assert not any(file.exists() for file in (folders.cache_notes, folders.fetched_notes, folders.fetched_unkept))


def test_the_boot_takes_weights_from_the_cache(machine: Machine) -> None:
    catalogue = machine.folders.bundle / "userdata/models.json"
    entries = json.loads(catalogue.read_text())
    (file,) = entries["stable-diffusion-v1-5"]["files"]
    file.update(bytes=len(WEIGHTS), sha256=SHA256)
    catalogue.write_text(json.dumps(entries))
    machine.settings(SD_PYTHON=sys.executable, SD_DEVICE="cpu", SD_WEIGHTS_URL="http://127.0.0.1:9/nothing-is-here")
    machine.parameters.update(Model="stable-diffusion-v1-5", SafetyChecker="off")
    key = f"cache/weights/{SHA256}/{file['path']}"
    boto3.client("s3").put_object(Bucket=machine.bucket_name, Key=key, Body=WEIGHTS)
    done = machine.boot()
    assert done.returncode == 0, done.stdout
    (record,) = [json.loads(text) for name, text in machine.objects("boots/").items() if name.endswith(".json")]
    assert [phase["phase"] for phase in record["phases"] if phase.get("from") == "cache"] == ["weights"]
    assert machine.folders.fetched_notes.exists() and not machine.folders.fetched_unkept.exists()
