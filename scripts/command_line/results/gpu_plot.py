"""How busy the GPU was over a run, as a plot of blocks for a terminal of 80 columns."""

from __future__ import annotations

from itertools import pairwise
from statistics import fmean

from userdata.page.facts import gpu_points

BLOCKS = " ▁▂▃▄▅▆▇█"
WIDTH, HEIGHT = 74, 4


def gpu_plot(content: bytes) -> list[str]:
    """The lines of the plot of a run's `gpu.csv`, without a gap where the run was interrupted; none without samples."""
    points = [(at, min(busy, 100.0)) for at, busy, _memory in gpu_points(content) if busy is not None]
    if not points:
        return []
    busy = [percent for _at, percent in points]
    columns = min(WIDTH, len(busy))
    edges = [number * len(busy) // columns for number in range(columns + 1)]
    filled = [round(fmean(busy[begin:end]) / 100 * HEIGHT * 8) for begin, end in pairwise(edges)]
    lines = []
    for row in range(HEIGHT - 1, -1, -1):
        label = {HEIGHT - 1: "100%", 0: "0%"}.get(row, "")
        lines.append(f"{label:>4} " + "".join(BLOCKS[min(max(eighths - 8 * row, 0), 8)] for eighths in filled).rstrip())
    return [*lines, f"     GPU busy: {fmean(busy):.0f}% on average over {points[-1][0]:,.0f} s."]
