"""The parameters that an instance was given: user data has their true characters, and CloudFormation answers `?`."""

from __future__ import annotations

import base64
import re

from userdata.contract.parameter_file import parse_parameters

ASSIGNMENTS = re.compile(r"^parameters='\n(.*?\n)'$", re.DOTALL | re.MULTILINE)
# How many `?` CloudFormation answers for one character is not documented.
HIDDEN = re.compile(r"(?:[^\x00-\x7f]|\?)+")


def parameters_in(user_data: str) -> dict[str, str]:
    """The parameters in the user data, which comes as EC2 answers it: in base64. None where it has no such lines."""
    found = ASSIGNMENTS.search(base64.b64decode(user_data).decode("utf-8", "replace"))
    try:
        return parse_parameters(found[1], "the user data") if found else {}
    except ValueError:
        return {}


def as_described(text: str) -> str:
    """The text as CloudFormation answers it, with one `?` for any number of characters beyond ASCII."""
    return HIDDEN.sub("?", text)
