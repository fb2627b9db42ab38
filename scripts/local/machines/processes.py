"""Adopts, counts and ends the processes below this one, so that no process outlives its machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time

import psutil

PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
POLL = 0.02


def adopt_orphans() -> None:
    """Makes this process the parent of its orphaned descendants, and denies all of them new privileges.

    Only Linux can: elsewhere a descendant that leaves its process group and session is found while its parent lives.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        for option in (PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS):
            if libc.prctl(option, 1, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")


def alive_below(pid: int | None = None) -> list[psutil.Process]:
    """The running descendants of a process, by default this one; zombies are left out."""
    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [process for process in below if _is_alive(process)]


def alive_of(leader: int) -> list[psutil.Process]:
    """What one child started: the running members of its process group, and its descendants in other groups."""
    members = {process.pid: process for process in alive_below() if _group(process.pid) == leader}
    return list({**members, **{process.pid: process for process in alive_below(leader)}}.values())


def signal_all(processes: list[psutil.Process], number: signal.Signals) -> None:
    """Sends a signal to each process that is still there."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.send_signal(number)


def kill_below(deadline: float = 10.0) -> None:
    """Kills every descendant, those included that appear meanwhile. Gives up after `deadline` seconds."""
    end = time.monotonic() + deadline
    while (processes := alive_below()) and time.monotonic() < end:
        signal_all(processes, signal.SIGKILL)
        time.sleep(POLL)
    # The adopted ones have nobody else who waits for them.
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def kill_session(session: int, deadline: float = 10.0) -> None:
    """Kills every process of a session, when the process that led it could not do it itself."""
    end = time.monotonic() + deadline
    while (processes := _members(session)) and time.monotonic() < end:
        signal_all(processes, signal.SIGKILL)
        time.sleep(POLL)


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _members(session: int) -> list[psutil.Process]:
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == session and _is_alive(process):
                members.append(process)
    return members


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
