"""The page over all runs of a folder: `index.html`, and `gallery.js`, which names the runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from scripts.command_line.gallery.local_run import LocalRun
from userdata.contract.atomic_file import write_atomically
from userdata.page.html import gallery_page
from userdata.page.script import to_script


def write_overview(root: Path, runs: Iterable[LocalRun]) -> Path:
    """Writes the page, the latest run first, and returns its path. Raises `OSError`."""
    latest_first = sorted(runs, key=lambda run: (run.facts.started_at, run.facts.run_id), reverse=True)
    data = [
        {
            **run.facts.model_dump(by_alias=True, exclude={"phases", "receipt", "gpu", "versions"}),
            "folder": run.folder.name,
            "below": run.below,
            "cover": run.first,
        }
        for run in latest_first
    ]
    write_atomically(root / "gallery.js", to_script("gallery", {"runs": data}))
    write_atomically(root / "index.html", gallery_page())
    return root / "index.html"
