"""The file in which the user data leaves the deployed parameters, one a line.

`Name:value` is a value whose rule lets only printable ASCII through. `Name;base64,...` is free text, marked as in a
data URL: the base64 of its UTF-8 and of one newline behind it, because AWS does not say what CloudFormation's
`Fn::Base64` makes of an empty text. `Name=base64`, without that newline, is what stacks of earlier commits wrote.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

_LINE = re.compile(r"([A-Za-z][A-Za-z0-9]*)(;base64,|:|=)([ -~]*)")


def read_parameters(path: Path) -> dict[str, str]:
    """Reads the parameters exactly as they were typed.

    Raises `ValueError`, naming the line, for a line of another form, and `OSError` when there is no file.
    """
    return parse_parameters(path.read_text("ascii"), str(path))


def parse_parameters(text: str, source: str) -> dict[str, str]:
    """The same from the file's content. Raises `ValueError`, which names `source`."""
    parameters = {}
    for number, line in enumerate(text.splitlines(), 1):
        found = _LINE.fullmatch(line)
        if not found:
            raise ValueError(f"{source}, line {number}: neither Name:value nor Name;base64,...")
        name, mark, value = found.groups()
        try:
            parameters[name] = value if mark == ":" else _decoded(value, ends_in_newline=mark == ";base64,")
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"{source}, line {number}: {name} is not base64 ({error})") from error
    return parameters


def _decoded(value: str, *, ends_in_newline: bool) -> str:
    text = base64.b64decode(value, validate=True).decode("utf-8")
    if ends_in_newline and not text.endswith("\n"):
        raise ValueError("no newline at its end")
    return text[:-1] if ends_in_newline else text
