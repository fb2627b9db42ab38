"""Chooses the user who runs the machines' processes: never root, even when root started the cloud."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

NOBODY = 65534
READ_ANYTHING = "+dac_read_search"


class NoOrdinaryUserError(RuntimeError):
    """The cloud runs as root, and there is no way to run the machines as anyone else."""


@dataclass(frozen=True)
class OrdinaryUser:
    """A user for the machines: the words that go before a command, and who owns its disk (None: the caller)."""

    command_prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None

    def own(self, folder: Path) -> None:
        """Gives a folder to the user."""
        if self.uid is not None and self.gid is not None:
            os.chown(folder, self.uid, self.gid)


def ordinary_user(checkout: Path) -> OrdinaryUser:
    """The caller, or for root the user behind sudo, or else nobody.

    The machines read the checkout and its virtual environment, which may lie below a folder that only root can enter:
    where the kernel lets us, the user may therefore read everything, but write only what is its own.
    Raises `NoOrdinaryUserError`, with the way out.
    """
    if os.geteuid() != 0:
        return OrdinaryUser()
    uid = int(os.environ.get("SUDO_UID") or NOBODY) or NOBODY
    gid = int(os.environ.get("SUDO_GID") or NOBODY) or NOBODY
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise NoOrdinaryUserError(
            "The local cloud does not run machines as root, and setpriv (util-linux), which would run them as another "
            "user, is not here. Start it as an ordinary user."
        )
    drop = (setpriv, f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs")
    # Without the secure bit, access(2), with which shells look commands up, would not see what execve(2) can run.
    read_all = (
        "--securebits=+no_setuid_fixup",
        f"--inh-caps={READ_ANYTHING}",
        f"--ambient-caps={READ_ANYTHING}",
    )
    # A container's root may lack the capability; then the checkout must be readable as it is.
    for prefix in ((*drop, *read_all), drop):
        if _can_read(prefix, checkout):
            return OrdinaryUser(prefix, uid, gid)
    raise NoOrdinaryUserError(
        f"The local cloud runs machines as user {uid}, who cannot read {checkout}. Start it as an ordinary user, or "
        "keep the checkout in a folder that everyone may enter."
    )


def _can_read(prefix: tuple[str, ...], checkout: Path) -> bool:
    look = "import os, sys; sys.exit(not os.access(sys.argv[1], os.R_OK))"
    attempt = [*prefix, sys.executable, "-c", look, str(checkout / "pyproject.toml")]
    return subprocess.run(attempt, capture_output=True, cwd="/", check=False).returncode == 0
