"""One boot of one machine: `systemd-nspawn`, from power on to power off."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.machine.booted.cgroup import ControlGroup

POWER_OFF = signal.SIGRTMIN + 4  # systemd(1): starts poweroff.target, as the power button does
ASKING = 2.0  # seconds between two presses


class Container:
    """Runs until the machine is off.

    `ended` is called once it is off, with whether that was a clean end, and before anybody who waits for it goes on.
    """

    def __init__(
        self,
        *,
        name: str,
        root: Path,
        network: Path,
        shared: Mapping[Path, Path],
        console: Path,
        group: ControlGroup,
        ended: Callable[[bool], None],
    ) -> None:
        command = [
            *("systemd-nspawn", "--quiet", "--boot", "--directory", str(root), "--machine", name),
            *("--register=no", "--keep-unit", f"--network-namespace-path={network}", "--console=read-only"),
            *(f"--bind-ro={folder}:{place}" for folder, place in shared.items()),
        ]
        with console.open("ab") as output:
            self._process = subprocess.Popen(
                group.entered(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
                start_new_session=True,
            )
        self._ended = ended
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @property
    def init(self) -> int | None:
        """The process id of the machine's systemd on the host, None while there is none."""
        for child in _told(f"/proc/{self._process.pid}/task/{self._process.pid}/children").split():
            # systemd-nspawn's helper, which has another child than that first, is in none of the machine's namespaces.
            if re.search(r"^NSpid:.*\t1$", _told(f"/proc/{child}/status"), re.MULTILINE):
                return int(child)
        return None

    def power_off(self, deadline: float) -> bool:
        """Whether the machine went down in order within `deadline` seconds.

        The request is repeated, because a machine does not listen yet early in its boot.
        """
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            self._send(POWER_OFF)
            if self.wait(ASKING):
                return True
        return False

    def cut_power(self) -> None:
        """Ends the machine at once, wherever it is, and returns when it is gone."""
        self._send(signal.SIGKILL)
        if not self.wait(5):
            self._process.kill()
            self.wait(10)

    def wait(self, seconds: float) -> bool:
        """Whether the machine is off, or goes off within `seconds`."""
        self._watcher.join(seconds)
        return not self._watcher.is_alive()

    def _send(self, number: int) -> None:
        init = self.init
        if init is None:
            self._process.terminate()
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(init, number)

    def _watch(self) -> None:
        self._ended(self._process.wait() == 0)


def _told(file: str) -> str:
    """What the kernel tells there, nothing of a process that has gone."""
    try:
        return Path(file).read_text("ascii")
    except OSError:
        return ""
