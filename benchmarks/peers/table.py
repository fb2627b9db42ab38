"""The figures of a comparison as lines of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.peers.works import DRAWN, NONE

_ROW = "{:16} {:17} {:>8} {:>8} {:>8} {:>6} {:>6}"
_OF_FILES = ("files_gb", "loading_s", "first_image_s", "next_image_s", "peak_gib")


def table(documents: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """For each model its ways: seconds an image, least, most, the share of the floor in percent, peak GiB."""
    lines = [_ROW.format("way", "", "s/image", "least", "most", "floor", "GiB")]
    for model, document in documents.items():
        floor = document.get("floor", {})
        said = f"floor {floor['image_s']:.3f} s" if "image_s" in floor else ""
        lines += ["", f"{model}: {said}".rstrip(": ")]
        for way, figures in document.items():
            if isinstance(figures, dict):
                lines += _rows(way, figures)
    return lines


def _rows(way: str, figures: Mapping[str, Any]) -> Iterator[str]:
    if NONE in figures:
        yield f"{way:9} no figure: {figures[NONE]}"[:80]
    elif way == "files":
        yield f"{way:9} " + ", ".join(f"{name} {figures[name]:.1f}" for name in _OF_FILES if figures.get(name))[:70]
    elif way == "steps":
        kinds = ", ".join(f"{kind} {took:.1f}" for kind, took in figures["kernels_ms"].items())
        yield f"{way:9} {figures['step_ms']:.1f} ms: {kinds}"[:80]
    elif way in DRAWN:
        for name, figure in figures.items():
            times = [f"{figure[one]:.3f}" for one in ("median_s", "least_s", "most_s")]
            share = f"{100 * figure['share_of_floor']:.0f} %" if "share_of_floor" in figure else ""
            peak = f"{figure['peak_gib']:.1f}" if "peak_gib" in figure else ""
            who = (
                way
                if way in ("eager", "compiled")
                else f"{'fp8' if way == 'float8' else 'ours'}: {figure['execution']}"
            )
            yield _ROW.format(who, name, *times, share, peak)[:80]
