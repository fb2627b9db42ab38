"""The user `sd-fetch`, who unpacks, builds and runs in root's place what comes from outside.

Who may write to the bucket could otherwise run code as root on the next machine. Root gives this user folders of its
own and never writes into them. Below a prefix, or where the boot is not root, there is one user for everything.
Rejected: a dynamic user of `systemd-run`, whose number another service gets later, while its files stay on the disk.
"""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import signal
import stat
import sys
import tempfile
import threading
from pathlib import Path
from typing import Callable, Optional, Tuple

from userdata.boot.machine.commands import CommandError, User, answer_of, end_commands, quoted, run_logged
from userdata.boot.machine.step_error import StepError
from userdata.contract.layout import Folders

NAME = "sd-fetch"
CODE = Path(__file__).resolve().parents[3]
FAILED_AND_REPORTED = 70
SYSUSERS_SECONDS = 60
_giving = threading.Lock()  # steps beside each other give the same folders


def fetcher(folders: Folders) -> Optional[User]:
    """The user `sd-fetch`, made if it is not there; None where everything has one user. Raises `StepError`."""
    if os.geteuid() != 0 or folders.root != Path("/"):
        return None
    try:
        pwd.getpwnam(NAME)
    except KeyError:
        line = f'u {NAME} - "sd-on-ec2 fetches and builds"'
        answer_of(["systemd-sysusers", "--inline", line], seconds=SYSUSERS_SECONDS)
    user = User(NAME, Path(tempfile.gettempdir()) / NAME)
    give(user.home, user)
    give(folders.fetched, user)
    return user


def give(folder: Path, user: Optional[User], *, keep: bool = False) -> None:
    """Makes `folder` and lets it belong to `user`. What another user has there, as older boots did, is removed first.

    With `keep` what root has there goes with the folder, for files that nobody runs. The folder above must be root's,
    since its owner could put a link in the place of `folder`. Raises `StepError`.
    """
    with _giving:
        if folder.is_symlink():
            raise StepError(f"{folder} is a link, and must be a folder. Remove it, and start the instance again.")
        owner = pwd.getpwnam(user.name) if user else None
        if owner and folder.exists() and folder.stat().st_uid != owner.pw_uid:
            if keep and folder.stat().st_uid == 0:
                _give_content(folder, owner)
            else:
                shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if owner:
            os.chown(folder, owner.pw_uid, owner.pw_gid)


def _give_content(folder: Path, owner: pwd.struct_passwd) -> None:
    # From the inside out: nobody but root can put a link where this goes yet. A file with another name stays root's,
    # since that name may be anywhere.
    for place, folders, files in os.walk(folder, topdown=False):
        for path in (Path(place, name) for name in folders + files):
            found = path.lstat()
            if stat.S_ISDIR(found.st_mode) or found.st_nlink == 1:
                os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def run_apart(module: str, *arguments: str, seconds: float, user: Optional[User]) -> int:
    """The exit status of the bundle's `module`, run as `user` by this interpreter; its lines go to the log.

    Raises `StepError` with the module's own words when `main_apart` has reported a failure.
    """
    return said_apart(module, *arguments, seconds=seconds, user=user)[0]


def said_apart(module: str, *arguments: str, seconds: float, user: Optional[User]) -> Tuple[int, str]:
    """As `run_apart`, and the last line beside it, which is to be checked: it is anybody's."""
    try:
        said = run_logged([sys.executable, "-m", module, *arguments], seconds=seconds, folder=CODE, user=user)
    except CommandError as error:
        if error.code == FAILED_AND_REPORTED and error.output:
            raise StepError(quoted(error.output.splitlines()[-1])) from error
        if error.code is None or error.code < 0:
            raise
        return error.code, ""
    return 0, said.rpartition("\n")[2]


def main_apart(action: Callable[[], int]) -> int:
    """The exit status of `action`, as `run_apart` expects it: a failure is the last line, and has its own status."""
    signal.signal(signal.SIGTERM, lambda number, frame: _end(128 + number))
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    try:
        return action()
    except (StepError, OSError, ValueError) as error:
        print(" ".join(str(error).split()), flush=True)  # noqa: T201
        return FAILED_AND_REPORTED


def _end(status: int) -> None:
    end_commands()
    os._exit(status)
