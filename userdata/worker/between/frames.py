"""Frames on a stream socket: a text, and bytes behind it, each with its length before it and bounded.

Rejected: pickle, and with it `multiprocessing`, because one side reads models of strangers and the other one holds
credentials: what the one says must not run as code in the other.
"""

from __future__ import annotations

import select
import socket
import struct
import threading

LENGTHS = struct.Struct("!II")


class Frames:
    """The frames on `connection`. What comes in may have `most_text` bytes of text and `most_content` bytes behind it.

    Any thread may send; one thread receives.
    """

    def __init__(self, connection: socket.socket, *, most_text: int, most_content: int) -> None:
        self._connection = connection
        self._most = (most_text, most_content)
        self._sending = threading.Lock()

    def send(self, text: bytes, content: bytes = b"") -> None:
        """Sends one frame, whole. Raises `OSError` when the other side has ended."""
        with self._sending:
            self._connection.sendall(LENGTHS.pack(len(text), len(content)) + text)
            self._connection.sendall(content)

    def receive(self) -> tuple[bytes, bytes]:
        """The next frame's text and content. Raises `EOFError` when the other side has ended, `ValueError` for others.

        A frame that is too long raises `ValueError` before any of it is read.
        """
        lengths = LENGTHS.unpack(self._exactly(LENGTHS.size))
        if any(length > most for length, most in zip(lengths, self._most, strict=True)):
            raise ValueError(f"a frame of {lengths[0]:,} and {lengths[1]:,} bytes is too long")
        return self._exactly(lengths[0]), self._exactly(lengths[1])

    def has_one(self, *, within: float) -> bool:
        """Whether a frame, or the end, comes within so many seconds."""
        return bool(select.select([self._connection], [], [], within)[0])

    def close(self) -> None:
        """Ends the connection. May be called more than once."""
        self._connection.close()

    def _exactly(self, count: int) -> bytes:
        received = bytearray(count)
        view = memoryview(received)
        while view:
            try:
                got = self._connection.recv_into(view)
            except OSError as error:
                raise EOFError(str(error)) from error
            if not got:
                raise EOFError("the other side has ended")
            view = view[got:]
        return bytes(received)
