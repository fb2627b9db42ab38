"""How busy the GPU was over a run, as a plot of blocks for a terminal of 80 columns."""

from __future__ import annotations

import csv
import io
import math
from itertools import pairwise
from statistics import fmean

BLOCKS = " ▁▂▃▄▅▆▇█"
WIDTH, HEIGHT = 74, 4


def gpu_plot(content: bytes) -> list[str]:
    """The lines of the plot of a run's `gpu.csv`, a sample each second; none where it has no samples."""
    busy = _samples(content)
    if not busy:
        return []
    columns = min(WIDTH, len(busy))
    edges = [number * len(busy) // columns for number in range(columns + 1)]
    filled = [round(fmean(busy[begin:end]) / 100 * HEIGHT * 8) for begin, end in pairwise(edges)]
    lines = []
    for row in range(HEIGHT - 1, -1, -1):
        label = {HEIGHT - 1: "100%", 0: "0%"}.get(row, "")
        lines.append(f"{label:>4} " + "".join(BLOCKS[min(max(eighths - 8 * row, 0), 8)] for eighths in filled).rstrip())
    return [*lines, f"     GPU busy: {fmean(busy):.0f}% on average over {len(busy):,} s, {max(busy):.0f}% at most."]


def _samples(content: bytes) -> list[float]:
    """Percent of each second; what is no number from 0 to 100 is left out."""
    found = []
    try:
        for row in csv.DictReader(io.StringIO(content.decode("utf-8", "replace"))):
            try:
                value = float(row.get("gpu_percent") or "")
            except ValueError:
                continue
            if math.isfinite(value) and 0 <= value <= 100:
                found.append(value)
    except csv.Error:
        return []
    return found
