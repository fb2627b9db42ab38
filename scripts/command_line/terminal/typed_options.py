"""The options that say where and as whom, as they were typed: the commands of a message repeat them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from scripts.command_line.terminal.common_options import STACK

COMMAND = re.compile(r"`(?P<command>(?:sd|aws) [^`]+)`")
# The commands without an option --stack.
OF_THE_ACCOUNT = ("quota", "zones")
# The commands of `aws` that ask no region.
OF_THIS_MACHINE = ("configure", "sso", "login")


def repeat_typed(message: str, words: Sequence[str]) -> str:
    """`message`, with --stack, --region and --profile of `words` behind the options of each command in backticks.

    `words` are those of the command line. A command that names one already keeps its own.
    """
    return COMMAND.sub(lambda found: f"`{with_typed(found['command'], words)}`", message)


def with_typed(command: str, words: Sequence[str]) -> str:
    """The same of one command of `sd` or `aws`."""
    typed = _typed(words)
    program, first = command.split()[:2]
    names = ["--region", "--profile"]
    if program == "sd" and first not in OF_THE_ACCOUNT:
        names.insert(0, "--stack")
    if program == "aws" and first in OF_THIS_MACHINE:
        names.remove("--region")
        if "list-profiles" in command:  # which is there for a profile that cannot be found
            return command
    more = [f"{name} {shlex.quote(typed[name])}" for name in names if name in typed and name not in command]
    options, arguments = _split(command)
    return " ".join([options, *more, *arguments]) if more else command


def _split(command: str) -> tuple[str, list[str]]:
    """The command up to a lone `--`, and the rest, in which an option would be an argument."""
    if "$'" in command:  # which shlex does not know
        options, dashes, arguments = command.partition(" -- ")
        return options, [f"-- {arguments}"] if dashes else []
    try:
        split = shlex.split(command)
    except ValueError:
        return command, []
    if "--" not in split:
        return command, []
    place = split.index("--")
    return shlex.join(split[:place]), [shlex.join(split[place:])]


def _typed(words: Sequence[str]) -> dict[str, str]:
    found = {}
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        if name in ("--stack", "--region", "--profile"):
            found[name] = value if equals else following
        elif word in ("-c", "--context") and following.startswith("stack="):
            found["--stack"] = following.removeprefix("stack=")
    return {name: value for name, value in found.items() if value and (name, value) != ("--stack", STACK)}
