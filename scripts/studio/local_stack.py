"""`sd studio --local`: the local cloud as a process of the studio's, and the model in the box deployed into it."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
from rich.console import Console

from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.command_line.terminal.plain_text import say
from scripts.command_line.terminal.session import open_session
from scripts.local.command_environment import leave_behind
from scripts.studio.assembly import create, kept_assembly
from scripts.studio.preparation import Preparation

# Two minutes of idling would stop the machine while a newcomer still reads. The first run is small, because what the
# newcomer presses waits for its end.
DEMO = {
    "Model": "demo", "IdleMinutes": "30", "Prompt": "A horse standing under a tree", "Iterations": "1", "Samples": "3",
}  # fmt: skip
# What runs in the cloud: tells how it is reached, and ends with the studio, however that ends.
KEEPER = "import json, os, sys; print(json.dumps(dict(os.environ)), flush=True); sys.stdin.read()"
CLOUD = Path(__file__).parents[1] / "local/__main__.py"
ENDS_WITHIN = 15.0


@contextlib.contextmanager
def local_stack(stack: str) -> Iterator[Preparation]:
    """The local cloud, from now on being prepared in a thread; it ends with the context, and says so.

    This process has the person's keys no longer, so that nothing can reach their account before the local one is there.
    """
    leave_behind(os.environ)
    # In a session of its own, so that Ctrl-C in the terminal reaches the studio alone, which ends it.
    cloud = subprocess.Popen(
        [sys.executable, "-P", str(CLOUD), "--bootstrap", "--", sys.executable, "-c", KEEPER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    preparation, is_ending = Preparation(DEMO["Model"]), threading.Event()
    threading.Thread(target=_prepare, args=(preparation, cloud, stack, is_ending), daemon=True).start()
    try:
        yield preparation
    finally:
        is_ending.set()
        cloud.terminate()
        try:
            cloud.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            cloud.kill()


def _prepare(preparation: Preparation, cloud: subprocess.Popen[str], stack: str, is_ending: threading.Event) -> None:
    trouble = ""
    try:
        with aws_errors_in_words("prepare the local cloud"):
            _deploy(preparation, cloud, stack)
    except CommandError as error:
        trouble = str(error)
    except Exception as error:  # noqa: BLE001  # a person must hear of it on the page, which would wait for ever
        trouble = f"The local cloud could not be prepared ({type(error).__name__}: {error})."
    if trouble and not is_ending.is_set():
        say(f"sd: {trouble}", err=True)
    preparation.end(trouble)


def _deploy(preparation: Preparation, cloud: subprocess.Popen[str], stack: str) -> None:
    from scripts.command_line.deploying.deploy import deploy  # while the page is there already

    assert cloud.stdout
    told = cloud.stdout.readline()
    if not told:
        raise CommandError("The local cloud has not started; the lines in the terminal say why.")
    os.environ.update(json.loads(told))
    preparation.done = 1
    session = open_session(None, None)
    deploy(
        session, stack=stack, given=DEMO, context=[], fetch_to=None, console=Console(stderr=True), yes=True,
        cdk=functools.partial(_create, preparation, stack),
    )  # fmt: skip


def _create(
    preparation: Preparation,
    stack: str,
    session: boto3.Session,
    parameters: Mapping[str, str],
    context: Mapping[str, str],
) -> None:
    preparation.done = 2
    assembly = kept_assembly(session, stack, context)
    preparation.done = 3
    create(session, stack, assembly, parameters)
