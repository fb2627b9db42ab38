"""The page itself: one file with its styles and scripts inside, which allows nothing else to act in it."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from pathlib import Path

PARTS = Path(__file__).parent / "browser"
# In the order in which they stand in the page.
SCRIPTS = ("data.js", "texts.js", "blocks.js", "grid.js", "dialog.js", "facts.js", "compare.js", "start.js")
STYLES = ("page.css", "dialog.css")


def run_page() -> bytes:
    """The `index.html` of a run, the same for every run: what it shows stands in the files beside it."""
    return _page(loads="page/run.js")


def gallery_page() -> bytes:
    """The `index.html` over all runs in a folder; `gallery.js` beside it names them."""
    return _page(loads="gallery.js")


def shared_page(data: list[bytes], *, images_from: str, note: str) -> bytes:
    """A page that carries its data, scripts of `to_script`, and shows images of the origin `images_from`."""
    return _page(data=data, images_from=images_from, note=note)


def _page(*, loads: str = "", data: list[bytes] | None = None, images_from: str = "", note: str = "") -> bytes:
    script, style = f"(() => {{\n{_joined(SCRIPTS)}\n}})();", _joined(STYLES)
    carried = [one.decode("ascii") for one in data or []]
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {'' if data else chr(39) + 'self' + chr(39) + ' file:'} "
            + " ".join(_hash_of(one) for one in (script, *carried)),
            f"style-src {_hash_of(style)}",
            f"img-src {images_from or chr(39) + 'self' + chr(39) + ' file:'}",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types shards",
        )
    )
    page = (PARTS / "page.html").read_text("utf-8")
    for name, value in {
        "POLICY": escape(policy),
        "STYLE": f"<style>{style}</style>",
        "SCRIPT": f"<script>{script}</script>",
        "LOADS": escape(loads),
        "NOTE": escape(note),
        # Behind all else, since a text of a person may hold any of these names.
        "DATA": "".join(f"<script>{one}</script>" for one in carried),
    }.items():
        page = page.replace(f"<!--{name}-->", value)
    return page.encode()


def _hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _joined(names: tuple[str, ...]) -> str:
    # No \r: a browser reads it as \n, and the hash would be another one's.
    return "\n".join((PARTS / name).read_text("utf-8").replace("\r\n", "\n") for name in names)
