from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

import pytest

from scripts.command_line.gallery.open_page import open_page


@pytest.mark.parametrize(
    ("terminal", "display", "opens"), [(True, ":0", True), (True, "", False), (False, ":0", False)]
)
def test_a_browser_opens_where_somebody_sees_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, terminal: bool, display: str, opens: bool
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)  # type: ignore[func-returns-value]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert open_page(tmp_path / "a run.html") is opens
    assert opened == ([(tmp_path / "a run.html").as_uri()] if opens else [])
