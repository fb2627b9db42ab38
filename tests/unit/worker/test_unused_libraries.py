from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from userdata.worker import __main__ as worker
from userdata.worker.run_error import RunError

DRAW = """
import sys
from pathlib import Path

import {first}

from userdata.worker.unused_libraries import import_no_peft

import_no_peft()
import torch
from userdata.worker.equipment import equip
from userdata.worker.pipeline import load_pipeline

pipeline = load_pipeline(Path(sys.argv[1]), layout=None, device=torch.device("cpu"), from_image={from_image})
print(sorted(name for name, module in sys.modules.items() if module and name.split(".")[0] == "peft"))
"""


def imported_of_peft(model: Path, *, from_image: bool, first: str = "sys") -> str:
    code = DRAW.format(from_image=from_image, first=first)
    done = subprocess.run([sys.executable, "-c", code, str(model)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_model_is_loaded_without_peft(tiny_model: Path) -> None:
    assert imported_of_peft(tiny_model, from_image=True) == "[]"


def test_the_worker_has_not_imported_diffusers_before_it_knows_the_job(tiny_model: Path) -> None:
    """Hiding PEFT would come too late."""
    assert imported_of_peft(tiny_model, from_image=False, first="userdata.worker.__main__") == "[]"


def test_a_model_is_loaded_where_diffusers_was_there_first(tiny_model: Path) -> None:
    assert "'peft'" in imported_of_peft(tiny_model, from_image=False, first="diffusers.hooks")


@pytest.mark.parametrize(
    ("lora", "hidden"), [({}, ["peft"]), ({"Lora": ""}, ["peft"]), ({"Lora": "s3://bucket/style.safetensors"}, [])]
)
def test_peft_stays_where_the_run_has_a_lora(
    monkeypatch: pytest.MonkeyPatch, lora: dict[str, str], hidden: list[str]
) -> None:
    calls: list[str] = []

    def end(*_arguments: object, **_options: object) -> None:
        raise RunError("far enough")

    monkeypatch.setattr(worker, "read_settings", end)
    monkeypatch.setattr(worker, "read_parameters", lambda _file: {"Prompt": "a tree", **lora})
    monkeypatch.setattr(worker, "SpotNotice", lambda _stop: type("Watch", (), {"watch": lambda _self: None})())
    monkeypatch.setattr(worker, "import_no_peft", lambda: calls.append("peft"))
    monkeypatch.setattr(worker, "start_imports", lambda: calls.append("imports"))
    monkeypatch.setattr(worker, "wait_for_model", lambda _folders, _stop: None)
    monkeypatch.setattr("userdata.worker.__main__.os.environ", {})
    monkeypatch.setattr("userdata.worker.__main__.signal.signal", lambda *_: None)
    assert worker.main() == 1
    assert calls == [*hidden, "imports"]  # hiding it later would come too late
