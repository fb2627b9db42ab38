from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from userdata.worker import imports_ahead

DRAW = """
import sys
from pathlib import Path

import {first}

from userdata.worker.process.unused_libraries import leave_out_peft

leave_out_peft()
import torch
from userdata.worker.loaded.make_drawing import make_drawing
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

start_imports()
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
from userdata.worker.model.lora import Loras
from tests.unit.worker.model.lora_files import linear_layers, save_lora, weight_of

file = Path(sys.argv[2]) / "style.safetensors"
(layer, *_) = linear_layers(pipeline)
before = weight_of(pipeline, layer).clone()
(change,) = save_lora(pipeline, file, layers=[layer]).values()
Loras(pipeline, {"style": file}, restorable=False).apply({"style": 1.0})
assert torch.allclose(weight_of(pipeline, layer), before + change, atol=1e-6)
"""
COMPILE = """
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)) == 2
"""
ASK_THE_COMPILER = """
import torch._dynamo
assert not torch._dynamo.config.suppress_errors
"""


def large_parts_imported(*arguments: Path, then: str = "") -> str:
    code = DRAW_AFTER_IMPORTS.format(then=then)
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_image_is_drawn_without_the_compiler_and_without_distributed_tensors(tiny_model: Path) -> None:
    assert large_parts_imported(tiny_model) == "[]"


def test_a_lora_is_merged_after_these_imports(tiny_model: Path, tmp_path: Path) -> None:
    assert large_parts_imported(tiny_model, tmp_path, then=LORA) == "[]"


@pytest.mark.parametrize("then", [COMPILE, ASK_THE_COMPILER])
def test_who_needs_the_compiler_gets_it(tiny_model: Path, then: str) -> None:
    assert "torch._dynamo.utils" in large_parts_imported(tiny_model, then=then)


def test_a_model_is_loaded_where_diffusers_was_there_first(tiny_model: Path) -> None:
    assert "'peft'" in imported_of_peft(tiny_model, from_image=False, first="diffusers.hooks")


def test_peft_is_hidden_before_the_imports_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hiding PEFT later would come too late."""
    done: list[str] = []
    monkeypatch.setattr(imports_ahead, "leave_out_peft", lambda: done.append("peft"))
    monkeypatch.setattr("userdata.worker.imports_ahead.sys.setswitchinterval", lambda _seconds: None)
    thread = type("Thread", (), {"start": lambda _self: done.append("imports")})
    monkeypatch.setattr("userdata.worker.imports_ahead.threading.Thread", lambda **_options: thread())
    imports_ahead.start_imports()
    assert done == ["peft", "imports"]
