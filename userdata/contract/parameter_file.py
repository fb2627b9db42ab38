"""The file in which the user data leaves the deployed parameters: `Name=<base64 of the UTF-8 text>`, one a line."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path


def read_parameters(path: Path) -> dict[str, str]:
    """Reads the parameters exactly as they were typed.

    Raises `ValueError`, naming the line, for a line that is not `Name=base64`, and `OSError` when there is no file.
    """
    return parse_parameters(path.read_text("ascii"), str(path))


def parse_parameters(text: str, source: str) -> dict[str, str]:
    """The same from the file's content. Raises `ValueError`, which names `source`."""
    parameters = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, encoded = line.partition("=")
        try:
            if not (name and equals):
                raise ValueError("no name")
            parameters[name] = base64.b64decode(encoded, validate=True).decode("utf-8")
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"{source}, line {number}: not Name=base64 ({error})") from error
    return parameters
