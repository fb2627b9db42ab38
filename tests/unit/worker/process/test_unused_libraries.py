from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from userdata.job.run_error import RunError
from userdata.worker import __main__ as worker
from userdata.worker import imports_ahead

DRAW = """
import sys
from pathlib import Path

import {first}

from userdata.worker.process.unused_libraries import leave_out_peft

leave_out_peft()
import torch
from userdata.worker.run.make_drawing import make_drawing
from userdata.worker.model.pipeline import load_pipeline

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


DRAW_AFTER_IMPORTS = """
import sys, threading
from pathlib import Path

from userdata.worker.imports_ahead import start_imports

start_imports(with_lora=not {without_peft})
for thread in threading.enumerate():
    if thread.name == "imports":
        thread.join()

import torch
from userdata.worker.model.pipeline import load_pipeline

pipeline = load_pipeline(Path(sys.argv[1]), layout=None, device=torch.device("cpu"), from_image=False)
pipeline("a tree", height=64, width=64, num_inference_steps=2)
{then}
large = ("torch._dynamo.utils", "torch._inductor", "torch.distributed.tensor", "peft")
print([name for name in large if sys.modules.get(name)])
"""
LORA = """
from userdata.worker.model.lora import Lora, merge_lora
from tests.unit.worker.model.test_lora import a_lora

file = Path(sys.argv[2]) / "style.safetensors"
name, change = a_lora(pipeline, file)
before = pipeline.unet.get_parameter(name).clone()
merge_lora(pipeline, Lora(file, 1.0))
assert torch.allclose(pipeline.unet.get_parameter(name), before + change, atol=1e-6)
"""
COMPILE = """
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)) == 2
"""
ASK_THE_COMPILER = """
import torch._dynamo
assert not torch._dynamo.config.suppress_errors
"""


def large_parts_imported(*arguments: Path, without_peft: bool = True, then: str = "") -> str:
    code = DRAW_AFTER_IMPORTS.format(then=then, without_peft=without_peft)
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_image_is_drawn_without_the_compiler_and_without_distributed_tensors(tiny_model: Path) -> None:
    assert large_parts_imported(tiny_model) == "[]"


def test_a_lora_is_merged_after_these_imports(tiny_model: Path, tmp_path: Path) -> None:
    assert "peft" in large_parts_imported(tiny_model, tmp_path, without_peft=False, then=LORA)


@pytest.mark.parametrize("then", [COMPILE, ASK_THE_COMPILER])
def test_who_needs_the_compiler_gets_it(tiny_model: Path, then: str) -> None:
    assert "torch._dynamo.utils" in large_parts_imported(tiny_model, then=then)


def test_a_model_is_loaded_where_diffusers_was_there_first(tiny_model: Path) -> None:
    assert "'peft'" in imported_of_peft(tiny_model, from_image=False, first="diffusers.hooks")


@pytest.mark.parametrize(
    ("lora", "with_lora"), [({}, False), ({"Lora": ""}, False), ({"Lora": "s3://bucket/style.safetensors"}, True)]
)
def test_peft_stays_where_the_run_has_a_lora(
    monkeypatch: pytest.MonkeyPatch, lora: dict[str, str], with_lora: bool
) -> None:
    calls: list[bool] = []

    def end(*_arguments: object, **_options: object) -> None:
        raise RunError("far enough")

    monkeypatch.setattr(worker, "wait_for_settings", end)
    monkeypatch.setattr(worker, "read_parameters", lambda _file: {"Prompt": "a tree", **lora})
    monkeypatch.setattr(worker, "SpotNotice", lambda _stop: type("Watch", (), {"watch": lambda _self: None})())
    monkeypatch.setattr(worker, "start_imports", lambda *, with_lora: calls.append(with_lora))
    monkeypatch.setattr("userdata.worker.__main__.os.environ", {})
    monkeypatch.setattr("userdata.worker.__main__.signal.signal", lambda *_: None)
    assert worker.main() == 1
    assert calls == [with_lora]


@pytest.mark.parametrize(("with_lora", "calls"), [(False, ["peft", "imports"]), (True, ["imports"])])
def test_peft_is_hidden_before_the_imports_begin(
    monkeypatch: pytest.MonkeyPatch, with_lora: bool, calls: list[str]
) -> None:
    """Hiding PEFT later would come too late."""
    done: list[str] = []
    monkeypatch.setattr(imports_ahead, "leave_out_peft", lambda: done.append("peft"))
    monkeypatch.setattr("userdata.worker.imports_ahead.sys.setswitchinterval", lambda _seconds: None)
    thread = type("Thread", (), {"start": lambda _self: done.append("imports")})
    monkeypatch.setattr("userdata.worker.imports_ahead.threading.Thread", lambda **_options: thread())
    imports_ahead.start_imports(with_lora=with_lora)
    assert done == calls
