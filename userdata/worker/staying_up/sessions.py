"""Finds the open sessions of SSH and of Session Manager by the processes that serve them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PROCESSES = Path("/proc")
# sshd names the process of a session after it: `sshd: ec2-user@pts/0`, since OpenSSH 9.8 `sshd-session: ...`. A
# connection that has not logged in yet has no @.
SSH = ("sshd: ", "sshd-session: ")
# The agent starts one for each session; it ends with it.
SESSION_MANAGER = "ssm-session-worker"


def open_sessions(processes: Path = PROCESSES) -> list[str]:
    """The titles of the processes that serve the open sessions.

    Rejected: the list of logged-in users (utmp), which lacks those of Session Manager.
    """
    return sorted(title for title in map(_title, _command_lines(processes)) if title)


def _command_lines(processes: Path) -> Iterator[list[str]]:
    for file in processes.glob("[0-9]*/cmdline"):
        try:
            yield file.read_bytes().decode("utf-8", "replace").rstrip("\0").split("\0")
        except OSError:
            continue  # it has just ended


def _title(words: list[str]) -> str | None:
    first = words[0]
    if first.startswith(SSH) and "@" in first:
        return first.strip()
    if first.rpartition("/")[2] == SESSION_MANAGER:
        return " ".join([SESSION_MANAGER, *words[1:2]])
    return None
