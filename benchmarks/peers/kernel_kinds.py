"""Where a step goes: one step under torch's profiler, its kernels by kind."""

from __future__ import annotations

import itertools
import re
import statistics
import time
from collections import Counter
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch.profiler import ProfilerActivity, profile

from benchmarks.runs import draw
from userdata.job.job import Job
from userdata.worker.drawing.prepared import Prepared

# The first that fits the kernel's name.
KINDS = {
    "attention": r"fmha|flash|sdpa|attention|mha",
    "convolution": r"conv|fprop|winograd|xmma_fprop|implicit",
    "products": r"gemm|nvjet|cutlass|cublas|gated_product|_mm_|matmul|splitK|scaled",
    "norms, sums, gates": r"norm|welford|_modulated|_turned|^_gated|_column_stat|_scale|^_sum|glu|silu|gelu|_in_fp8",
    "copies": r"copy|Memcpy|Memset|cat|transpose|nchwToNhwc|nhwcToNchw",
}
COUNTED = 2


def where_a_step_goes(pipeline: DiffusionPipeline, job: Job) -> dict[str, Any]:
    """Milliseconds of kernels in one step of `job` by kind, and a step's own, as a worker that stays draws it."""
    prepared, ended = Prepared(), list[float]()
    draw(pipeline, job, prepared=prepared)

    def wait() -> None:
        if pipeline.device.type == "cuda":
            torch.cuda.synchronize()
        ended.append(time.monotonic())

    draw(pipeline, job, prepared=prepared, on_step=wait)
    steps = [later - earlier for earlier, later in itertools.pairwise(ended)]
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if pipeline.device.type == "cuda" else [])]
    profiled, seen = profile(activities=activities), 0

    def watch() -> None:
        nonlocal seen
        seen += 1
        wait()
        if seen == COUNTED - 1:
            profiled.start()
        elif seen == COUNTED:
            profiled.stop()

    draw(pipeline, job, prepared=prepared, on_step=watch)
    prepared.release()
    return {"step_ms": 1000 * statistics.median(steps), **_by_kind(profiled)}


def _by_kind(profiled: profile) -> dict[str, Any]:
    milliseconds, launches, names = Counter[str](), 0, Counter[str]()
    for event in profiled.key_averages():
        if event.device_type.name == "CUDA":
            took = event.self_device_time_total / 1000
            milliseconds[_kind(event.key)] += took
            names[event.key[:120]] += took
            launches += event.count
    return {
        "kernels_ms": dict(milliseconds.most_common()),
        "launches": launches,
        "longest_ms": dict(names.most_common(25)),
    }


def _kind(name: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, name, re.IGNORECASE)), "elementwise")
