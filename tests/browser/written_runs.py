"""Folders of results as `sd gallery` leaves them, of images that nobody has drawn."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

from PIL import Image

from scripts.command_line.gallery.local_run import LocalRun, write_page
from tests.unit.page.records import records
from userdata.record.image_metadata import png_with_record

PHASES = (("boot", 31.0), ("environment", 12.4), ("weights", 48.9), ("model", 9.2), ("generating", 41.5), ("done", 0))
LINE = {"item": "instance", "quantity": 0.04, "unit": "hour", "usd_per_unit": 0.8, "usd": 0.032}
ATTEMPT = {
    "instance_id": "i-1", "instance_type": "g6.xlarge", "region": "us-east-1", "life_cycle": "on-demand",
    "began": "2026-11-29T10:00:00Z", "ended": "2026-11-29T10:02:24Z", "usd": 0.032, "at_most": False, "lines": [LINE],
    "source": "here",
}  # fmt: skip
REPORT = {
    "instance_type": "g6.xlarge",
    "phases": [{"phase": phase, "started_at": "2026-11-29T10:00:00Z", "seconds": seconds} for phase, seconds in PHASES],
    "cost": {"usd": 0.032, "usd_per_image": 0.008, "images": 4, "attempts": [ATTEMPT]},
}


def write_run(root: Path, name: str, *, images: int = 4, pixels: bool = True, day: int = 29, **of_job: Any) -> LocalRun:
    """A run of so many images, with its report and its GPU's samples; without `pixels` the images themselves lack."""
    samples = root / name / "txt2img-samples/samples"
    samples.mkdir(parents=True)
    for record in records(images, run_id=name, **of_job):
        dated = record.model_copy(update={"created_at": f"2026-11-{day:02}T10:00:00.000Z"})
        (samples / f"{record.index:05}.json").write_bytes(dated.to_json())
        if pixels:
            (samples / f"{record.index:05}.png").write_bytes(png_with_record(_picture(record.index), dated))
    (root / name / "report.json").write_text(json.dumps(REPORT))
    (root / name / "gpu.csv").write_text(_samples())
    made = write_page(root / name)
    assert made
    return made


def _picture(index: int) -> Image.Image:
    return Image.new("RGB", (128, 128), (40 * index % 256, 120, 200 - 20 * index % 200))


def _samples() -> str:
    text = io.StringIO("timestamp,gpu_percent,memory_percent,memory_used_mib,power_w\n")
    text.seek(0, io.SEEK_END)
    for at in range(50):
        busy = min(100, 60 + 40 * math.sin(at / 4)) if at > 8 else 4
        text.write(f"2026-11-29T10:00:{at:02}.000Z,{busy:.0f},20,{900 + 80 * min(at, 40)},70\n")
    return text.getvalue()
