import json
import sys

import pytest

from tests.unit.boot.conftest import Machine
from userdata.boot.telling.ending import Ending
from userdata.contract.environment_file import read_environment_file
from userdata.contract.run_name import run_name


def status_key(machine: Machine) -> str:
    return f"runs/{run_name(machine.parameters)}/status.json"


def earlier_status(machine: Machine, phase: str) -> dict[str, object]:
    return {
        "schema": 1,
        "run_id": run_name(machine.parameters),
        "instance_id": "i-0123456789abcdef0",
        "phase": phase,
        "images_done": 4,
        "images_total": 6,
        "started_at": "2026-01-01T00:00:00.000Z",
        "updated_at": "2026-01-01T00:01:00.000Z",
        "eta_seconds": 12.5,
        "error": {"step": "model", "message": "it broke", "log_tail": ""} if phase == "failed" else None,
    }


def asked_by_root_and_apart(lines: list[str]) -> tuple[list[str], list[str]]:
    """What the boot's own process has asked `aws` for, and what those that it runs as another user have."""
    by_root = [line for line in lines if "-m userdata.boot -- " in line]
    return by_root, [line for line in lines if line not in by_root]


def test_a_boot_prepares_the_machine_and_starts_the_worker(machine: Machine) -> None:
    machine.make_weights_take_until_told()
    done = machine.boot()
    assert done.returncode == 0, done.stdout + done.stderr
    assert machine.calls == ["systemctl daemon-reload", "systemctl restart sd-worker", "systemctl start sd-worker"]
    assert (machine.folders.models / "tiny/made").exists()
    for unit in ("sd-worker.service", "sd-drawing.socket", "sd-drawing@.service", "sd-cache.service"):
        assert (machine.folders.units / unit).read_text() == (machine.folders.bundle / "userdata" / unit).read_text()
    environment = read_environment_file(machine.folders.worker_environment)
    assert environment.pop("SD_BOOT_STARTED_AT").endswith("Z")
    assert environment == {
        "SD_PYTHON": sys.executable,
        "SD_DEVICE": "cpu",
        "SD_BUCKET": machine.bucket_name,
        "SD_INSTANCE_ID": "i-0123456789abcdef0",
        "SD_INSTANCE_TYPE": "g5.xlarge",
        "SD_LIFE_CYCLE": "on-demand",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    assert read_environment_file(machine.folders.model_environment) == {
        "SD_MODEL_FOLDER": str(machine.folders.models / "tiny")
    }
    status = machine.document("/status.json")
    assert (status["phase"], status["images_done"], status["images_total"]) == ("weights", 0, 6)
    facts_key, record_key = [key for key in machine.objects() if key.startswith("boots/")]
    record = json.loads(machine.objects()[record_key])
    assert facts_key == record_key.replace(".json", ".facts.txt")
    assert "$ cat /proc/uptime; ls -l /dev/nvidia*" in machine.objects()[facts_key]
    assert record_key == f"boots/i-0123456789abcdef0/{record['started_at']}.json"
    assert [phase["phase"] for phase in record["phases"]] == ["boot", "driver", "environment", "weights", "worker"]
    assert record["error"] is None
    assert json.loads(machine.folders.boot_timeline.read_text()) == record
    assert machine.folders.boot_log.read_text() == done.stdout


@pytest.mark.parametrize("phase", ["generating", "failed"])
def test_an_interrupted_run_keeps_its_beginning_and_its_images(machine: Machine, phase: str) -> None:
    machine.put(status_key(machine), earlier_status(machine, phase))
    machine.make_weights_take_until_told()
    note = machine.folder / "asked"
    said_by = 'echo "$(tr "\\0" " " </proc/$PPID/cmdline)-- $*"'
    machine.command("aws", f'{said_by} >>"{note}"; PATH=${{PATH#*:}}; exec aws "$@"')
    assert machine.boot().returncode == 0
    by_root, apart = asked_by_root_and_apart(note.read_text().splitlines())
    assert any(" - s3://" in words for words in by_root)
    assert [words for words in by_root if " - s3://" not in words] == []
    assert any("/status.json -" in words for words in apart)
    status = machine.document("/status.json")
    assert (status["started_at"], status["images_done"]) == ("2026-01-01T00:00:00.000Z", 4)
    assert status["phase"] == "weights"
    assert (status["error"], status["eta_seconds"]) == (None, None)


@pytest.mark.parametrize("python", [sys.executable, "/no/such/python"])
def test_a_run_that_is_done_stays_done_even_when_the_boot_fails(machine: Machine, python: str) -> None:
    machine.put(status_key(machine), earlier_status(machine, "done"))
    machine.settings(SD_PYTHON=python, SD_DEVICE="cpu")
    machine.boot()
    assert machine.document("/status.json") == earlier_status(machine, "done")


def test_a_failed_step_is_told_and_powers_off(machine: Machine) -> None:
    machine.settings(SD_PYTHON="/no/such/python", SD_DEVICE="cpu")
    done = machine.boot()
    assert done.returncode == 70
    assert machine.calls == ["shutdown -P now"]
    status = machine.document("/status.json")
    assert status["phase"] == "failed"
    assert status["error"]["step"] == "environment"
    assert "SD_PYTHON=/no/such/python does not run" in status["error"]["message"]
    assert "environment: SD_PYTHON=/no/such/python" in status["error"]["log_tail"]
    (log,) = [text for key, text in machine.objects().items() if key.endswith("/log.txt")]
    assert "SD_PYTHON=/no/such/python" in log
    facts, record_text = [text for key, text in machine.objects().items() if key.startswith("boots/")]
    record = json.loads(record_text)
    assert facts.startswith("$ cat /proc/uptime")
    assert record["error"] == status["error"]
    assert [phase["phase"] for phase in record["phases"]] == ["boot", "driver"]


def test_what_the_original_scripts_lack_is_told_before_the_environment_is_built(machine: Machine) -> None:
    machine.parameters["Engine"] = "compvis"
    machine.settings(SD_PYTHON="/no/such/python", SD_DEVICE="cpu")
    machine.command("git", "echo 'no route to host' >&2; exit 128")
    machine.boot()
    assert "original scripts could not be fetched" in machine.document("/status.json")["error"]["message"]


def test_a_failure_keeps_the_machine_if_that_is_asked_for(machine: Machine) -> None:
    machine.parameters["OnFailure"] = "keep"
    machine.settings(SD_PYTHON="/no/such/python", SD_DEVICE="cpu")
    assert machine.boot().returncode == 70
    assert machine.calls == []


def test_a_worker_that_cannot_be_started_is_a_failure(machine: Machine) -> None:
    machine.command("systemctl", "echo 'Unit sd-worker.service has a bad unit file setting.' >&2; exit 1")
    assert machine.boot().returncode == 70
    assert "bad unit file setting" in machine.document("/status.json")["error"]["message"]
    assert machine.calls == ["shutdown -P now"]


def test_the_worker_starts_before_the_weights_and_is_told_its_model_after_them(machine: Machine) -> None:
    told = machine.folders.model_environment
    told.parent.mkdir(parents=True)
    told.write_text("SD_MODEL_FOLDER=/of/an/earlier/boot\n")
    seen = f'[[ -e "{told}" ]] && echo told || echo not told'
    machine.command("systemctl", f'echo "$* $({seen}) $(ls "{machine.folders.models}")" >>"{machine.folder}/calls"')
    assert machine.boot().returncode == 0
    assert machine.calls == [
        "daemon-reload not told ",
        "restart sd-worker not told ",
        "start sd-worker told tiny",
    ]


@pytest.mark.parametrize("late", [True, False])
def test_a_worker_that_imports_torch_starts_once_cuda_is_ready(machine: Machine, late: bool) -> None:
    """Importing asks CUDA, and an answer that is too early holds for the life of the process."""
    calls = machine.folder / "calls"
    ready = f'[[ -e "{machine.folder}/asked" ]] || {{ touch "{machine.folder}/asked"; [[ {late} == False ]]; }}'
    machine.command("nvidia-smi", f'{ready} || exit 9; echo "nvidia-smi $1" >>"{calls}"; echo "GPU 0: A10G"')
    machine.command("nvidia-modprobe", f'echo "nvidia-modprobe $*" >>"{calls}"')
    machine.command(
        "python3", f'[[ $1 != -c ]] || {{ echo "cuInit" >>"{calls}"; echo 0; exit; }}; exec {sys.executable} "$@"'
    )
    machine.settings(SD_PYTHON=sys.executable)
    done = machine.boot()
    assert done.returncode == 0, done.stdout
    assert [call for call in machine.calls if "query" not in call] == [
        "nvidia-smi -L",
        "nvidia-modprobe -c 0 -u",
        "cuInit",
        "systemctl daemon-reload",
        "systemctl restart sd-worker",
        "systemctl start sd-worker",
    ]


@pytest.mark.parametrize(("choice", "last"), [("stop", "shutdown -P now"), ("keep", "systemctl stop sd-worker")])
def test_a_worker_does_not_wait_for_a_model_that_will_not_come(machine: Machine, choice: str, last: str) -> None:
    machine.parameters["OnFailure"] = choice
    (machine.folders.bundle / "userdata/worker/model/tiny_model.py").write_text("raise SystemExit('no room')\n")
    assert machine.boot().returncode == 70
    assert machine.document("/status.json")["error"]["step"] == "weights"
    assert machine.calls == ["systemctl daemon-reload", "systemctl restart sd-worker", last]
    assert not machine.folders.model_environment.exists()


def test_the_bundles_of_earlier_deploys_go_and_this_one_stays(machine: Machine) -> None:
    bundles = machine.folders.software / "bundles"
    (bundles / "earlier/userdata").mkdir(parents=True)
    machine.folders.bundle.rename(bundles / "this")
    machine.folders.bundle.symlink_to(bundles / "this")
    assert machine.boot().returncode == 0
    assert [path.name for path in bundles.iterdir()] == ["this"]


def test_programs_keep_their_temporary_files_on_the_disk(machine: Machine) -> None:
    temporary = machine.folder / "var/tmp/sd-on-ec2"
    left = temporary / "of-a-power-cut/torch.whl"
    left.parent.mkdir(parents=True)
    left.touch()
    maker = machine.folders.bundle / "userdata/worker/model/tiny_model.py"
    maker.write_text("import tempfile\nprint('made in', tempfile.mkdtemp())\n" + maker.read_text())
    done = machine.boot()
    assert f"made in {temporary}/" in done.stdout, done.stdout
    assert not left.exists()


def test_the_first_boot_compiles_the_bundle_for_the_worker(machine: Machine) -> None:
    machine.boot()
    compiled = machine.folders.bundle / f"userdata/worker/__pycache__/__main__.{sys.implementation.cache_tag}.pyc"
    assert compiled.exists()
    made = compiled.stat().st_mtime_ns
    machine.folders.deployed.worker.touch()  # would be compiled again
    assert machine.boot().returncode == 0
    assert compiled.stat().st_mtime_ns == made


def test_a_worker_that_could_not_be_started_ahead_is_started_with_its_model(machine: Machine) -> None:
    once = f'[[ -e "{machine.folder}/failed" ]] || {{ touch "{machine.folder}/failed"; exit 1; }}'
    machine.command("systemctl", f'echo "systemctl $*" >>"{machine.folder}/calls"\n{once}')
    done = machine.boot()
    assert done.returncode == 0, done.stdout
    assert "was not started ahead" in done.stdout
    assert machine.calls[-2:] == ["systemctl restart sd-worker", "systemctl start sd-worker"]
    assert read_environment_file(machine.folders.model_environment)


def test_parameters_that_cannot_be_read_power_off(machine: Machine) -> None:
    machine.folders.state.mkdir(parents=True)
    machine.folders.parameters.write_text("Prompt\n")
    done = machine.bash(machine.folders.bundle / "userdata/boot.sh")
    assert done.returncode == 70
    assert "line 1: neither Name:value nor Name;base64," in done.stdout
    assert machine.calls == ["shutdown -P now"]


def test_parameters_without_a_run_leave_their_log_beside_the_record(machine: Machine) -> None:
    del machine.parameters["Prompt"]
    assert machine.boot().returncode == 70
    keys = sorted(machine.objects())
    assert [key.partition("Z.")[2] for key in keys] == ["facts.txt", "json", "log.txt"]
    assert all(key.startswith("boots/i-0123456789abcdef0/") for key in keys)


def test_an_error_that_nobody_expected_is_told_in_one_sentence(machine: Machine) -> None:
    (machine.folders.bundle / "userdata/sd-worker.service").write_bytes(b"\xff")
    assert machine.boot().returncode == 70
    error = machine.document("/status.json")["error"]
    assert error["message"].startswith("The boot met something that it was not made for (UnicodeDecodeError: ")
    assert "Traceback" not in error["message"]
    assert "Traceback" in error["log_tail"]
    assert machine.calls == ["shutdown -P now"]


@pytest.mark.parametrize(("choice", "calls"), [("stop", ["shutdown -P now"]), ("keep", [])])
def test_a_boot_that_is_killed_does_not_leave_the_machine_running(
    machine: Machine, choice: str, calls: list[str]
) -> None:
    machine.parameters["OnFailure"] = choice
    machine.command("python3", "kill -KILL $$")
    assert machine.boot().returncode == 137
    assert machine.calls == calls


def end_worker(
    machine: Machine,
    *,
    how: tuple[str, str, str] = ("exit-code", "exited", "1"),
    boot_started_at: str = "2026-01-01T00:00:00.000Z",
) -> None:
    """Does what systemd does after a worker that has ended; `how` is its result, exit code and exit status."""
    machine.write_parameters()
    machine.command("systemctl", "echo running")
    machine.end_worker(
        **machine.worker_environment(boot_started_at),
        **dict(zip(("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"), how, strict=True)),
    )


@pytest.mark.parametrize(
    ("worker", "parameters", "phase", "calls"),
    [
        (Ending.FINISHED, {}, "generating", ["shutdown -P now"]),
        (Ending.FINISHED, {"AfterRun": "terminate"}, "generating", ["shutdown -P now"]),
        (Ending.FINISHED, {"AfterRun": "keep"}, "generating", []),
        (Ending.STOPPED, {}, "generating", []),
        (Ending.FAILED, {}, "failed", ["shutdown -P now"]),
        (Ending.FAILED, {"AfterRun": "keep"}, "failed", ["shutdown -P now"]),
        (Ending.FAILED, {"OnFailure": "keep"}, "failed", []),
    ],
)
def test_what_becomes_of_the_machine_after_the_worker(
    machine: Machine, worker: Ending, parameters: dict[str, str], phase: str, calls: list[str]
) -> None:
    machine.parameters.update(parameters)
    machine.put(status_key(machine), earlier_status(machine, "generating"))
    machine.folders.logs.mkdir(parents=True)
    machine.folders.worker_log.write_text("one line\nthe last line\n")
    how = {
        Ending.FINISHED: ("success", "exited", "0"),
        Ending.STOPPED: ("success", "killed", "TERM"),
        Ending.FAILED: ("signal", "killed", "KILL"),
    }[worker]
    end_worker(machine, how=how)
    assert machine.calls == calls
    status = machine.document("/status.json")
    assert status["phase"] == phase
    assert status["images_done"] == 4
    if worker is Ending.FAILED:
        assert status["error"]["step"] == "generating"
        assert "killed by signal KILL" in status["error"]["message"]
        assert status["error"]["log_tail"] == "one line\nthe last line"
        assert "the last line" in next(text for key, text in machine.objects().items() if key.endswith("/log.txt"))


@pytest.mark.parametrize(
    ("phase", "boot_started_at"),
    [
        ("failed", "2026-01-01T00:00:59.999Z"),
        ("capped", "2026-01-01T00:00:59.999Z"),
        ("done", "2026-01-01T00:00:59.999Z"),
        ("done", "2026-01-01T00:01:00.001Z"),
    ],
)
def test_what_the_worker_has_told_itself_is_left_alone(machine: Machine, phase: str, boot_started_at: str) -> None:
    machine.put(status_key(machine), earlier_status(machine, phase))
    end_worker(machine, boot_started_at=boot_started_at)
    assert machine.objects() == {status_key(machine): json.dumps(earlier_status(machine, phase))}
    assert machine.calls == ["shutdown -P now"]


@pytest.mark.parametrize("phase", ["failed", "capped"])
def test_an_earlier_attempts_end_does_not_hide_that_this_worker_died(machine: Machine, phase: str) -> None:
    machine.put(status_key(machine), earlier_status(machine, phase))
    end_worker(machine, boot_started_at="2026-01-01T00:01:00.001Z")
    status = machine.document("/status.json")
    assert (status["phase"], status["images_done"]) == ("failed", 4)
    assert status["error"]["step"] == "worker"
    assert "ended with 1" in status["error"]["message"]
    assert machine.calls == ["shutdown -P now"]


def test_a_failure_that_cannot_be_told_still_powers_off(machine: Machine) -> None:
    machine.write_parameters()
    machine.command("systemctl", "echo running")
    machine.end_worker(SERVICE_RESULT="exit-code", EXIT_CODE="exited", EXIT_STATUS="1")
    assert machine.calls == ["shutdown -P now"]
