from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
large = ("torch._dynamo.utils", "torch._inductor", "torch.distributed.tensor")
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
