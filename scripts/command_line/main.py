"""The command line: where each command is. A command that fails ends in one sentence and exit status 1."""

from __future__ import annotations

import io
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from scripts.command_line.terminal.checkout import ROOT, version_in_words
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.command_line.terminal.help import GroupedCommands
from scripts.command_line.terminal.json_option import forget_printed, is_printed, is_typed, print_document
from scripts.command_line.terminal.lazy_commands import LazyCommands
from scripts.command_line.terminal.plain_text import print_plain, say
from scripts.command_line.terminal.typed_options import repeat_typed
from scripts.interruption.signals import Interrupted, end_at_once, raise_interrupted

# Below each heading of `sd --help`, where each command is (a module of this room, and its function) with an example.
# `sd hold` imports that one module. A module imports what does the work within its functions, so that help, a
# mistyped option and completion answer at once (tests/unit/command_line/test_light_imports.py).
COMMANDS: dict[str, dict[str, str]] = {
    "Draw": {
        "deploy_command:deploy": 'sd deploy "A horse under a tree" --wait',
        "generate_command:generate": 'sd generate "A horse under a tree" --steps 25',
        "batch_command:batch": "sd batch prompts.csv --grid scale=5,7.5 --max-usd 2",
        "replay_command:replay": "sd replay results/horse-0123456789/txt2img-samples/00000.png",
        "studio_command:studio": "sd studio",
    },
    "Follow and fetch": {
        "status_command:status": "sd status --timeline",
        "watch_command:watch": "sd watch cats-0123456789",
        "results_command:results": "sd results cats-0123456789 --zip",
        "gallery_command:gallery": "sd gallery cats-0123456789",
        "compare_command:compare": "sd compare cats-0123456789 dogs-0123456789 --images",
        "look_inside_commands:logs": "sd logs cats-0123456789 --follow",
        "look_inside_commands:connect": "sd connect",
        "report_command:report": "sd report",
    },
    "Steer a batch": {
        "batch_control_commands:pause": "sd pause cats-0123456789",
        "batch_control_commands:resume": "sd resume cats-0123456789",
        "batch_control_commands:cancel": "sd cancel cats-0123456789",
        "batch_control_commands:retry": "sd retry cats-0123456789",
    },
    "What costs money": {
        "machine_commands:start": "sd start",
        "machine_commands:stop": "sd stop",
        "machine_commands:hold": "sd hold 2h",
        "machine_commands:teardown": "sd teardown",
    },
    "Before a deploy": {
        "before_commands:doctor": "sd doctor --model sdxl-base",
        "models_command:models": "sd models",
        "before_commands:cost": "sd cost --model sdxl-base --samples 16",
        "account_commands:zones": "sd zones g6.xlarge",
        "account_commands:quota": "sd quota status",
    },
}


class Commands(GroupedCommands):
    """The commands of `COMMANDS`."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{**given, "commands": LazyCommands(COMMANDS)})


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"sd-on-ec2 {version_in_words()}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version of this checkout."),
]

app = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def options_of_sd(version: Version = False) -> None:
    """Stable Diffusion on one EC2 GPU instance."""


def main() -> None:
    r"""Runs the command line; the exit status is 0, 1 for an error, 2 for misuse, and 128 + N after signal N.

    What a terminal's encoding has no character for is spelled out: as `\xd7`, and not as an error.
    """
    raise_interrupted()
    forget_printed()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    for_programs = is_typed(sys.argv[1:])
    try:
        with aws_errors_in_words("go on"):
            # With --json, a command line that cannot be read is an error document, too.
            status = app(prog_name="sd", standalone_mode=not for_programs)
        if status:
            sys.exit(status)
    except CommandError as error:
        _end(str(error), error.exit_status)
    except typer.TyperException as error:
        _end(error.format_message(), error.exit_code)
    except Interrupted as interrupted:
        _end(interrupted.told or "Interrupted; nothing was changed.", interrupted.exit_status)
    except Exception as error:  # noqa: BLE001 - whatever it is, a person gets a sentence
        _end(_fault_in_words(error), 1)
    finally:
        end_at_once()


def _fault_in_words(error: Exception) -> str:
    """An error that nobody has thought of: what it is, and the lines of ours that it came through, the last first."""
    frames = [(Path(one.filename), one.lineno) for one in traceback.extract_tb(error.__traceback__)]
    ours = [
        f"{file.name}:{line}" for file, line in frames if "site-packages" not in file.parts and ROOT in file.parents
    ]
    said = " ".join(str(error).split())[:300]
    if isinstance(error, OSError):  # a full disk behind `>`, or a folder that somebody has removed
        return f"This computer refuses: {said} ({ours[-1]}). What AWS has begun goes on: `sd status` looks."
    return (
        f"A fault of this program: {type(error).__name__}: {said} ({' < '.join(reversed(ours[-4:]))}). What AWS has "
        "begun goes on: `sd status` looks. Please open an issue, with the file that `sd report` writes."
    )


def _end(message: str, exit_status: int) -> NoReturn:
    """Says why the command ends, if there is still somebody: a terminal that was closed takes nothing."""
    told = repeat_typed(message, sys.argv[1:])
    with suppress(OSError):
        print_plain(f"sd: {told}", Console(stderr=True), soft_wrap=True)
        if is_typed(sys.argv[1:]) and not is_printed():
            from scripts.command_line.documents.document import ErrorDocument, Failure

            print_document(ErrorDocument(error=Failure(message=told, exit_code=exit_status)))
    sys.exit(exit_status)
