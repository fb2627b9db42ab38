"""The command that would deploy the same again, with one thing changed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping


def deploy_command(given: Mapping[str, str], context: Mapping[str, str]) -> str:
    """`sd deploy` with these parameters, by their CloudFormation names, and settings; quoted for a shell.

    Everything that was given is repeated: a stack whose creation failed keeps nothing.
    """
    words = ["sd", "deploy"]
    if "Prompt" in given:
        words.append(given["Prompt"])
    for name, value in context.items():
        words += ["-c", f"{name}={value}"]
    for name, value in given.items():
        if name != "Prompt":
            # With "=", since a value may begin with a dash.
            words.append(f"--{re.sub(r'(?<!^)(?=[A-Z])', '-', name).lower()}={value}")
    return shlex.join(words)
