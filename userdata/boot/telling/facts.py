"""What the machine is like at a boot: its devices, driver, services and tools, as text for `sd report`.

Gathered anew at every boot, because a stopped instance that starts again is another machine.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import List, Sequence

from userdata.boot.machine.commands import CommandError, answer_of
from userdata.contract.catalogue import read_catalogue

# Read at once, in milliseconds: the first process that uses CUDA makes device files. The uptime is what came before us.
FIRST = ("cat /proc/uptime; ls -l /dev/nvidia*; grep nvidia /proc/modules",)
# Without the address of a mirror, and on machines with a GPU, since others are tests. Not as root: anybody may answer.
_NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all --"
_ASKS_THE_HUB = (
    "grep -Eqs '^SD_(WEIGHTS_URL|DEVICE)=' {settings} || " + _NOBODY + " curl -sI --http1.1 --max-time 10 {address}"
)
LATER = (
    "ls /usr/lib/udev/rules.d /etc/udev/rules.d | grep -i nv",
    "cat /proc/driver/nvidia/version",
    "rpm -qa | grep -i -e nvidia -e cuda | sort",
    "systemctl is-enabled nvidia-persistenced nvidia-fabricmanager dlami-nvme",
    "systemctl --failed --no-legend --plain",
    "findmnt /tmp",
    "findmnt /opt/dlami/nvme",
    "lsblk",
    "df -h / /tmp",
    "free -m",
    "nproc",
    "cat /etc/os-release",
    "uname -r",
    "getenforce",
    "which git gcc curl python3 conda aws",
    "python3 --version; aws --version",
    "systemd-analyze",
    "systemd-analyze security --offline=true --no-pager /opt/sd-on-ec2/current/userdata/sd-*.service | grep Overall",
    "cloud-init --version",
    "sed -n '/final/,$p' /etc/cloud/cloud.cfg",
    "cloud-init analyze show | tail -n 40",
)
COMMAND_SECONDS = 20
# How long a boot that is over waits for the rest.
PATIENCE_SECONDS = 10


class Facts:
    """The facts of this boot. What needs no patience is read at once, the rest in the background.

    A command that is missing, fails or hangs is a fact, too. Nothing here raises.
    """

    def __init__(self, settings: Path, *, first: Sequence[str] = FIRST, later: Sequence[str] = LATER) -> None:
        self._found: List[str] = [_told(command) for command in first]
        self._commands = (*later, _hub_command(settings))
        self._thread = threading.Thread(target=self._gather, name="facts", daemon=True)
        self._thread.start()

    def text(self, *, seconds: float = PATIENCE_SECONDS) -> str:
        """Everything found, after at most `seconds` for what is still under way."""
        self._thread.join(seconds)
        end = "\n(the rest was not there in time)\n" if self._thread.is_alive() else ""
        return "\n".join(self._found) + end

    def _gather(self) -> None:
        for command in self._commands:
            self._found.append(_told(command))


def _hub_command(settings: Path) -> str:
    """Looks for the spelling of the hub's headers; of the answer, only what carries no signed address."""
    model = next(model for model in read_catalogue().values() if model.files)
    asks = _ASKS_THE_HUB.format(settings=settings, address=model.url(model.files[0]))
    return f"{asks} | grep -i -e ^http -e linked -e ratelimit -e repo-commit"


def _told(command: str) -> str:
    # Nice, since a worker or a boot that waits costs money.
    words = ("nice", "sh", "-c", f"{{ {command}; }} 2>&1")
    try:
        said = answer_of(words, seconds=COMMAND_SECONDS)
    except CommandError as error:
        said = error.output or f"{error}\n"
    return f"$ {command}\n{said}"
