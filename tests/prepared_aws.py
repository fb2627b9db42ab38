"""The real `aws` command without its start, which takes half a second of a processor: most of what a call takes.

A process that has imported it, and has read AWS's descriptions of S3, forks for each call. The call has the caller's
words, environment, folder, user, and its standard input, output and error; it ends when the caller is killed. The
machine tests and the local cloud's machines start the command as it is.

A program: `python -m tests.prepared_aws FD` answers what connects to the listening socket FD, until its input closes.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]
# Of modules that need no start-up of their own.
CALLER = """#!{python} -IS
import _socket, os, sys
settings = [f"{{name}}={{value}}" for name, value in os.environ.items()]
message = b"\\0".join(map(os.fsencode, [os.getcwd(), str(len(sys.argv) - 1), *sys.argv[1:], *settings]))
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
called = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
called.connect({path!r})
called.sendmsg([len(message).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
called.sendall(message)
status = called.recv(1)
sys.exit(status[0] if status else 255)
"""


@contextlib.contextmanager
def prepared_aws(folder: Path) -> Iterator[Path]:
    """A folder for PATH with the command in it, below `folder`, as long as the context lasts."""
    commands = folder / "bin"
    commands.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "aws"))
        listening.listen(64)
        command = commands / "aws"
        command.write_text(CALLER.format(python=sys.executable, path=str(folder / "aws")))
        command.chmod(0o755)
        program = [sys.executable, "-m", __name__, str(listening.fileno())]
        with subprocess.Popen(program, cwd=ROOT, stdin=subprocess.PIPE, pass_fds=[listening.fileno()]) as prepared:
            yield commands
            assert prepared.stdin
            prepared.stdin.close()


def prepare() -> None:
    from awscli import clidriver
    from awscli.botocore.loaders import JSONFileLoader
    from awscli.customizations.s3 import s3handler  # noqa: F401  # the command imports it late

    JSONFileLoader.load_file = functools.cache(JSONFileLoader.load_file)
    session = clidriver.create_clidriver().session
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    session.create_client("s3", region_name="us-east-1", **keys)
    gc.freeze()


def answer(call: socket.socket) -> NoReturn:
    """Is the command that was called, in a process of its own."""
    from awscli import clidriver

    head, streams, _, _ = socket.recv_fds(call, 4, 3)
    message = b""
    while len(message) < int.from_bytes(head, "big"):
        message += call.recv(1 << 16)
    folder, count, *words = map(os.fsdecode, message.split(b"\0"))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    sys.argv = ["aws", *words[: int(count)]]
    own = {"AWS_DATA_PATH": os.environ["AWS_DATA_PATH"]}  # which awscli has set when it was imported
    os.environ.clear()
    os.environ.update({**dict(word.split("=", 1) for word in words[int(count) :]), **own})
    threading.Thread(target=die_with, args=(call,), daemon=True).start()
    try:
        status = clidriver.main()
    except SystemExit as left:
        status = left.code
    sys.stdout.flush()
    sys.stderr.flush()
    call.sendall(bytes([status or 0]))
    os._exit(0)


def die_with(call: socket.socket) -> None:
    """Ends this process once the caller has ended, which says no more."""
    call.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def main(listening: socket.socket) -> None:
    prepare()
    watched = [listening.fileno(), sys.stdin.fileno()]
    while listening.fileno() in select.select(watched, [], [])[0]:
        call, _ = listening.accept()
        if not os.fork():
            listening.close()
            answer(call)
        call.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
