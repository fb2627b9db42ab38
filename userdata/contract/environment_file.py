"""Files of environment variables, in systemd's `EnvironmentFile` form: the boot writes them, the worker reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Mapping

_PLAIN = re.compile(r"[A-Za-z0-9_./:,@%+=-]*")
_LINE = re.compile(r'(?m)^([^=\n]+)=(?:"((?:[^"\\]|\\.)*)"|([^\n]*))\n?')


def environment_text(variables: Mapping[str, str]) -> str:
    """The text of such a file: values are quoted where they need it, and are never expanded.

    Raises `ValueError` for a value with a line break, which such a file cannot carry.
    """
    lines = []
    for name, value in variables.items():
        if re.search(r"[\r\n\0]", value):
            raise ValueError(f"{name} has a line break, which systemd cannot read")
        quoted = value if _PLAIN.fullmatch(value) else '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'
        lines.append(f"{name}={quoted}\n")
    return "".join(lines)


def read_environment_file(path: Path) -> Dict[str, str]:
    """The variables that the boot has written; none where there is no such file, or it may not be read."""
    try:
        text = path.read_text("utf-8")
    except OSError:
        return {}
    return parse_environment(text)


def parse_environment(text: str) -> Dict[str, str]:
    """The variables that `environment_text` has written."""
    return {
        name: plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        for name, quoted, plain in (line.groups() for line in _LINE.finditer(text))
    }
