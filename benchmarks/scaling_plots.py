"""`python -m benchmarks.scaling_plots`: draws the plots of docs/scaling.md from the figures that `scaling` wrote.

matplotlib is in no lock, because nothing else needs it. `uv run --no-project --with matplotlib==3.11.2 python -m
benchmarks.scaling_plots` brings it for this one run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

from scripts.interruption.signals import ends_in_a_sentence

matplotlib.use("svg")
import matplotlib.pyplot as plt  # after the choice of the backend

FOLDER = Path(__file__).parents[1] / "docs" / "scaling"
FIGURES = FOLDER / "figures.json"
# Readable on GitHub's light and dark pages alike.
STYLE = {"svg.hashsalt": "sd-on-ec2", "svg.fonttype": "none", "figure.facecolor": "white", "font.size": 9}
WIDE = (8, 3.2)


def _axes(axes: Any, title: str, x: str, y: str) -> None:
    axes.set(title=title, xlabel=x, ylabel=y, xscale="log", yscale="log")
    axes.grid(visible=True, which="major", alpha=0.3)


def _line(axes: Any, rows: list[dict[str, Any]], x: str, values: list[tuple[float, float, float]], label: str) -> None:
    """A line of the medians, with a bar from the least to the most of the seeds."""
    middle, least, most = zip(*values, strict=True)
    below = [median - low for median, low in zip(middle, least, strict=True)]
    above = [high - median for median, high in zip(middle, most, strict=True)]
    axes.errorbar([row[x] for row in rows], middle, yerr=[below, above], marker=".", capsize=2, label=label)


def _values(rows: list[dict[str, Any]], name: str, scale: float = 1.0) -> list[tuple[float, float, float]]:
    return [tuple(row[name][one] * scale for one in ("median", "least", "most")) for row in rows]


def by_size(rows: list[dict[str, Any]]) -> None:
    """Hours and dollars per 1,000 images, by the size of the batch, for fleets of several sizes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=WIDE, layout="constrained")
    for most in sorted({row["most"] for row in rows}):
        whole = [row for row in rows if row["most"] == most and not row["units_left"]["most"]]
        _line(left, whole, "images", _values(whole, "ended", 1 / 3600), f"up to {most}")
        each = [tuple(1000 * one / row["images"] for one in usd) for row, usd in zip(whole, _values(whole, "usd"))]  # noqa: B905
        _line(right, whole, "images", each, f"up to {most}")
    _axes(left, "Time", "images", "hours")
    _axes(right, "Cost", "images", "$ per 1,000 images")
    left.legend(title="machines")
    _save(figure, "sizes")


def by_machines(rows: list[dict[str, Any]]) -> None:
    """What further machines bring and cost, for one batch."""
    figure, (left, right) = plt.subplots(1, 2, figsize=WIDE, layout="constrained")
    whole = [row for row in rows if not row["units_left"]["most"]]
    _line(left, whole, "machines", _values(whole, "ended", 1 / 3600), "hours")
    _line(right, whole, "machines", _values(whole, "usd"), "all")
    _line(right, whole, "machines", _values(whole, "wasted"), "boots and idle minutes")
    _axes(left, f"{whole[0]['images']:,} images: time", "machines", "hours")
    _axes(right, f"{whole[0]['images']:,} images: cost", "machines", "$")
    right.legend()
    _save(figure, "machines")


def by_weather(rows: list[dict[str, Any]]) -> None:
    """Time and cost of one batch under losses."""
    rows = [row for row in rows if row["images"] == max(one["images"] for one in rows)]
    whole = [row for row in rows if not row["units_left"]["most"]]
    figure, (left, right) = plt.subplots(1, 2, figsize=WIDE, sharey=True, layout="constrained")
    names = [row["weather"] for row in whole]
    for axes, name, scale, label in ((left, "ended", 1 / 3600, "hours"), (right, "usd", 1.0, "$")):
        values = _values(whole, name, scale)
        spread = [[one[0] - one[1] for one in values], [one[2] - one[0] for one in values]]
        axes.barh(names, [one[0] for one in values], xerr=spread, capsize=2, color="tab:blue", alpha=0.7)
        axes.set(title=f"{whole[0]['images']:,} images on {whole[0]['machines']} machines", xlabel=label)
    left.invert_yaxis()
    _save(figure, "weather")


def _save(figure: Any, name: str) -> None:
    figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None, "Creator": None})


def main() -> None:
    """Draws all plots."""
    rows = json.loads(FIGURES.read_text("utf-8"))["rows"]
    with plt.rc_context(STYLE):
        for name, draw in (("sizes", by_size), ("machines", by_machines), ("weather", by_weather)):
            draw([row for row in rows if row["plot"] == name])


if __name__ == "__main__":
    with ends_in_a_sentence():
        main()
