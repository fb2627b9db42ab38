"""The options that say where and as whom, as they were typed: the commands of a message repeat them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from scripts.command_line.terminal.common_options import STACK

COMMAND = re.compile(r"`(?P<program>sd|aws) (?P<words>[^`]+)`")
# The commands without an option --stack.
OF_THE_ACCOUNT = ("quota", "zones")
# The commands of `aws` that ask no region.
OF_THIS_MACHINE = ("configure", "sso", "login")


def repeat_typed(message: str, words: Sequence[str]) -> str:
    """`message`, with --stack, --region and --profile of `words` at the end of each command in backticks.

    `words` are those of the command line. A command that names one already keeps its own.
    """
    typed = _typed(words)

    def repeat(found: re.Match[str]) -> str:
        first = found["words"].split()[0]
        names = ["--region", "--profile"]
        if found["program"] == "sd" and first not in OF_THE_ACCOUNT:
            names.insert(0, "--stack")
        if found["program"] == "aws" and first in OF_THIS_MACHINE:
            names.remove("--region")
        more = [f" {name} {shlex.quote(typed[name])}" for name in names if name in typed and name not in found["words"]]
        return f"`{found['program']} {found['words']}{''.join(more)}`"

    return COMMAND.sub(repeat, message)


def _typed(words: Sequence[str]) -> dict[str, str]:
    found = {}
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name in ("--stack", "--region", "--profile"):
            found[name] = value if equals else following
        elif word in ("-c", "--context") and following.startswith("stack="):
            found["--stack"] = following.removeprefix("stack=")
    return {name: value for name, value in found.items() if value and (name, value) != ("--stack", STACK)}
