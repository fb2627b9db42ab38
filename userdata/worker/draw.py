"""`python -m userdata.worker.draw`: the drawing process. Draws what the worker asks for on the socket at its input.

It lives as long as that connection, and holds nothing that must be saved. It needs no credentials and no network, and
sd-drawing@.service gives it none.
"""

from __future__ import annotations

import os
import signal
import socket

from userdata.worker.imports_ahead import start_imports
from userdata.worker.process.library_environment import LIBRARY_ENVIRONMENT


def main() -> None:
    """Returns never: the process ends with its connection."""
    # Whoever stops the machine signals all processes, and the worker decides what is still drawn. By a function,
    # because the original scripts would inherit that a signal is ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _signal, _frame: None)
    os.environ.update(LIBRARY_ENVIRONMENT)
    start_imports()  # before the imports below, which take a while too
    from userdata.worker.loaded.answering import Answering

    connection = socket.socket(fileno=os.dup(0))
    with open(os.devnull) as nothing:  # noqa: PTH123  # what this process starts must not read from the socket
        os.dup2(nothing.fileno(), 0)
    Answering(connection).serve()


if __name__ == "__main__":
    main()
