"""A private network for one machine. It contains only what the test adds."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from pathlib import Path

NAMESPACES = Path("/run/netns")
CLONE_NEWNET = 0x40000000  # <linux/sched.h>; os.setns has it since Python 3.12


class Network:
    """A network namespace with a loopback interface. The machine can reach only the addresses that are put on it.

    Rejected: a pair of virtual cables to the host, which needs addresses that are free there, and forwarding rules to
    give every machine the same 169.254.169.254.
    """

    def __init__(self, name: str) -> None:
        """Makes the namespace. Raises `CalledProcessError` when the kernel refuses."""
        self.name = name
        self.path = NAMESPACES / name
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "lo", "up")

    def listen(self, host: str, port: int) -> socket.socket:
        """A socket that listens inside the namespace, whichever thread accepts on it."""
        if not host.startswith("127."):
            _ip("-n", self.name, "address", "replace", f"{host}/32", "dev", "lo")
        made: list[socket.socket | Exception] = []

        def enter_and_listen() -> None:
            try:
                made.append(self._listen(host, port))
            except OSError as error:
                made.append(error)

        # A thread of its own: it enters the namespace for good.
        thread = threading.Thread(target=enter_and_listen)
        thread.start()
        thread.join()
        if isinstance(made[0], Exception):
            raise made[0]
        return made[0]

    def remove(self) -> None:
        """Takes the namespace away; safe to call twice."""
        remove_network(self.name)

    def _listen(self, host: str, port: int) -> socket.socket:
        with self.path.open("rb") as namespace:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
        return listener


def remove_network(name: str) -> None:
    """Takes a namespace away by name, if it is there."""
    if (NAMESPACES / name).exists():
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
