"""Every command that a message, a help text or a page prints exists and parses, because a person copies it."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from awscli.customizations.s3.s3 import S3
from botocore import xform_name
from typer.core import TyperGroup
from typer.main import get_command

from scripts.command_line.main import app

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "AGENTS.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = [file for folder in ("scripts", "stacks", "userdata") for file in sorted((ROOT / folder).rglob("*.py"))]
# What a hole in an f-string becomes: a number is a text, too.
EXAMPLE = "8"
COMMAND = re.compile(r"(?:\./scripts/)?(?P<program>sd|cdk|aws) (?P<words>.+)", re.DOTALL)
BLOCK = re.compile(r"^```.*?$(.*?)^```", re.DOTALL | re.MULTILINE)


def texts_of(source: str) -> Iterator[str]:
    """The string literals of a module, docstrings too, with an example in place of each hole."""
    tree = ast.parse(source)
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    inside = {id(part) for node in joined for part in ast.walk(node)}
    yield from ("".join(map(_filled, node.values)) for node in joined)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def _filled(part: ast.expr) -> str:
    """An example for a part of an f-string; of two texts to choose from, the first."""
    if isinstance(part, ast.Constant):
        return str(part.value)
    choices = [one.body for one in ast.walk(part) if isinstance(one, ast.IfExp)]
    return next((str(one.value) for one in choices if isinstance(one, ast.Constant)), EXAMPLE)


def commands_in(text: str) -> Iterator[str]:
    """The commands of a text: the whole text, or what stands in backticks."""
    for found in [text] if COMMAND.fullmatch(text) else re.findall(r"`([^`]+)`", text):
        yield from (command for command in re.split(r"; | && | > | \| ", found) if COMMAND.fullmatch(command))


def commands_on(page: str) -> Iterator[str]:
    """The commands in the code spans of a page, and on the lines of its code blocks."""
    yield from commands_in(BLOCK.sub("", page))
    for block in BLOCK.findall(page):
        for line in block.replace("\\\n", " ").splitlines():
            yield from commands_in(line.removeprefix("$ "))


def collect() -> dict[str, dict[str, Path]]:
    """Each program's commands, without the program's name, and where one of them is printed."""
    found: dict[str, dict[str, Path]] = {"sd": {}, "cdk": {}, "aws": {}}
    printed = [(file, one) for file in SOURCES for text in texts_of(file.read_text()) for one in commands_in(text)]
    printed += [(page, one) for page in PAGES for one in commands_on(page.read_text())]
    for file, command in printed:
        match = COMMAND.fullmatch(command)
        assert match
        found[match["program"]][match["words"]] = file.relative_to(ROOT)
    return found


COMMANDS = collect()
# What is done while the words are read.
AT_ONCE = ("--help", "--version", "--install-completion", "--show-completion")


def words_of(command: str) -> list[str]:
    return shlex.split(command, comments=True)


def parse(words: list[str]) -> None:
    """Takes a command apart as `sd` does, and runs nothing. Raises where `sd` would refuse it.

    A command's name alone is one that is spoken of, and need not have its arguments.
    """
    command, name, context = get_command(app), "sd", None
    while words:
        context = command.make_context(name, list(words), parent=context)
        if not isinstance(command, TyperGroup):
            return
        found, inner, words = command.resolve_command(context, words)
        assert found and inner
        name, command = found, inner


@pytest.mark.parametrize("command", COMMANDS["sd"])
def test_sd_takes_the_command(command: str) -> None:
    words = [word for word in words_of(command) if word not in AT_ONCE]
    try:
        parse(words)
    except Exception as error:  # noqa: BLE001  # typer's own copy of click has no public errors
        pytest.fail(f"{COMMANDS['sd'][command]} prints `sd {command}`, but: {error}")


@pytest.fixture(scope="module")
def cdk_verbs() -> set[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    printed = subprocess.run(
        [ROOT / "node_modules/.bin/cdk", "--help"], env={**os.environ, "PATH": path}, capture_output=True, text=True
    ).stdout
    return set(re.findall(r"^  cdk ([a-z-]+)", printed, re.MULTILINE))


@pytest.mark.parametrize("command", COMMANDS["cdk"])
def test_cdk_has_the_verb(command: str, cdk_verbs: set[str]) -> None:
    assert words_of(command)[0] in cdk_verbs, COMMANDS["cdk"][command]


# Commands that are no operation of a service; the last three are those of version 2 of the AWS CLI alone.
NO_OPERATIONS = {
    *(f"s3 {one['name']}" for one in S3.SUBCOMMANDS),
    "configure",
    "configure list-profiles",
    "sso login",
    "login",
}
EVERYWHERE = {"--region", "--query", "--output", "--profile"}


@pytest.mark.parametrize("command", COMMANDS["aws"])
def test_aws_has_the_operation_and_its_options(command: str) -> None:
    words = words_of(command)
    if {words[0], " ".join(words[:2])} & NO_OPERATIONS:
        return
    service = botocore.session.get_session().get_service_model(words[0].removesuffix("api"))  # s3api
    operations = {xform_name(name, "-"): name for name in service.operation_names}
    assert words[1] in operations, COMMANDS["aws"][command]
    shape = service.operation_model(operations[words[1]]).input_shape
    members = shape.members if shape else {}
    options = {f"--{xform_name(name, '-')}" for name in members} | {f"--no-{xform_name(name, '-')}" for name in members}
    assert {word for word in words if word.startswith("--")} <= options | EVERYWHERE, COMMANDS["aws"][command]


@pytest.mark.parametrize("folder", ["scripts/command_line", "stacks", "userdata"])
def test_a_command_within_a_message_stands_in_backticks(folder: str) -> None:
    """So that a person sees where the command ends, and the tests above find it."""
    bare = re.compile(r"(?<![\w/.-])(?:sd|cdk|aws) [a-z][\w-]+")
    found = [
        f"{file.relative_to(ROOT)}: {command}"
        for file in SOURCES
        if file.is_relative_to(ROOT / folder)
        for text in texts_of(file.read_text())
        if not COMMAND.fullmatch(text)
        for command in bare.findall(re.sub(r"`[^`]*`", "", text))
    ]
    assert found == []


def test_commands_are_found_everywhere() -> None:
    assert {"quota request --instance-type 8 --spot", "hold off", "deploy -c az=8"} <= set(COMMANDS["sd"])
    assert {"ec2 delete-volume --volume-id 8", "ssm start-session --region 8 --target 8"} <= set(COMMANDS["aws"])
    assert "bootstrap" in COMMANDS["cdk"]
    assert list(commands_on("```\n$ sd stop  # now\n```\nor `sd start`")) == ["sd start", "sd stop  # now"]
