"""Data as a script that a page loads: by `file://` a browser lets a page load scripts, and no JSON.

A script is one call of a function of the page, with JSON that is also safe inside an HTML file.
"""

from __future__ import annotations

import json
from typing import Any

from userdata.contract.outside import read_json


def to_script(function: str, data: dict[str, Any]) -> bytes:
    """The call of `function` with `data`: ASCII, in which no HTML parser and no JavaScript engine finds an end."""
    text = json.dumps(data, separators=(",", ":"))  # spells U+2028 and every other non-ASCII character out
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return f"{function}({text});\n".encode("ascii")


def from_script(function: str, content: bytes) -> dict[str, Any]:
    """The data of a script that `to_script` made. Raises `ValueError` for anything else: nothing of it is ever run."""
    begin, end = f"{function}(".encode(), b");\n"
    if not (content.startswith(begin) and content.endswith(end)):
        raise ValueError(f"it is no call of {function}")
    return read_json(content[len(begin) : -len(end)])
