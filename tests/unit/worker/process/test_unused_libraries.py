from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# What comes then, comes in a process of its own each time, since an import cannot be taken back.
DRAW_AFTER_IMPORTS = """
import os, sys, threading
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
for then in sys.argv[3:]:
    if not os.fork():
        exec(then)
        large = ("torch._dynamo.utils", "torch._inductor", "torch.distributed.tensor")
        print([name for name in large if sys.modules.get(name)], flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
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


def large_parts_imported(*arguments: str | Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", DRAW_AFTER_IMPORTS, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_lora_is_merged_and_an_image_drawn_without_the_compiler_and_who_needs_it_gets_it(
    tiny_model: Path, tmp_path: Path
) -> None:
    """In one process that draws, because the imports before it take seconds."""
    steps = (LORA, COMPILE, ASK_THE_COMPILER)
    neither, compiled, asked = large_parts_imported(tiny_model, tmp_path, *steps)
    assert neither == "[]", "nor distributed tensors"
    assert "torch._dynamo.utils" in compiled
    assert "torch._dynamo.utils" in asked
