"""One emulated instance, seen from the cloud: its disk, which survives stop and start, and its init process."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.local.aws.metadata_service import MetadataService
from scripts.local.command_environment import CHECKOUT
from scripts.local.machines.ordinary_user import OrdinaryUser
from scripts.local.machines.processes import alive_below, kill_session, signal_all

log = logging.getLogger(__name__)

SHIMS = Path(__file__).resolve().parent / "bin"
KILL_DEADLINE = 5.0  # seconds
# The emulated S3 reads the whole object for each part that is asked for: a checkpoint in parts of 8 MB takes minutes.
# Not by the threshold of parts, because `aws` takes as much memory for what it uploads from a pipe.
AWS_CONFIG = "[default]\ns3 =\n    multipart_chunksize = 1GB\n"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Surroundings:
    """What all machines of one cloud share."""

    aws_endpoint: str
    user: OrdinaryUser
    has_gpu: bool


class Machine:
    """A machine below `disk`.

    `on_end` is called from a thread of its own when the machine has ended by itself. An end that the cloud asked for is
    not reported.
    """

    def __init__(
        self,
        disk: Path,
        metadata: MetadataService,
        surroundings: Surroundings,
        on_end: Callable[[], None],
    ) -> None:
        self.disk = disk
        self.metadata = metadata
        self._surroundings = surroundings
        self._on_end = on_end
        self._init: subprocess.Popen[str] | None = None
        self._watcher: threading.Thread | None = None
        self._asked_to_end = False
        self._lock = threading.RLock()
        self._make_disk()
        metadata.start()

    @property
    def pid(self) -> int | None:
        """The process id of the machine's init, which is also its session; None while it does not run."""
        init = self._init
        return init.pid if init is not None and init.poll() is None else None

    @property
    def console(self) -> str:
        """What the user data's scripts have printed so far, over all boots."""
        file = self.disk / "var/log/cloud-init-output.log"
        return file.read_text("utf-8", "replace") if file.exists() else ""

    @property
    def environment(self) -> dict[str, str]:
        """What the machine's processes begin with: no keys, and of the caller's only how many threads torch may use.

        On a busy computer, two threads may need ten times as long as one, because each waits for the other.
        """
        python = Path(sys.executable)
        threads = {"OMP_NUM_THREADS": os.environ["OMP_NUM_THREADS"]} if "OMP_NUM_THREADS" in os.environ else {}
        return {
            **threads,
            "PATH": f"{SHIMS}:{python.parent}:{SYSTEM_PATH}",
            "HOME": str(self.disk / "home"),
            "TMPDIR": str(self.disk / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "SD_PREFIX": str(self.disk),
            "AWS_ENDPOINT_URL": self._surroundings.aws_endpoint,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.metadata.endpoint,
            "AWS_CONFIG_FILE": str(self._aws_config),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.disk / "etc/no-aws-credentials"),
            "NO_PROXY": "localhost,127.0.0.1",
            "no_proxy": "localhost,127.0.0.1",
        }

    def start(self) -> None:
        """Starts the machine and returns when its init is there. Does nothing while it runs."""
        with self._lock:
            if self.pid is not None:
                return
            self._asked_to_end = False
            with (self.disk.parent / f"{self.disk.name}.init-errors").open("ab") as errors:
                self._init = subprocess.Popen(
                    [
                        *self._surroundings.user.command_prefix,
                        sys.executable,
                        "-m",
                        "scripts.local.machines.init",
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=self.environment,
                    cwd=CHECKOUT,
                    text=True,
                    start_new_session=True,
                )
            assert self._init.stdout is not None
            if not self._init.stdout.readline():
                self._init.wait()
                raise RuntimeError(f"The machine below {self.disk} did not start; its last words: {self._errors()}")
            self._watcher = threading.Thread(target=self._watch, args=(self._init,), daemon=True)
            self._watcher.start()

    def power_off(self, deadline: float) -> None:
        """Stops the services and the machine, as a stop of the instance does; kills it after `deadline` seconds."""
        with self._lock:
            self._asked_to_end = True
            init, watcher = self._init, self._watcher
        if init is None or watcher is None:
            return
        assert init.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            init.stdin.write("power-off\n")
            init.stdin.flush()
        watcher.join(deadline)
        if watcher.is_alive():
            log.warning("The machine below %s did not go down in %s s and is killed.", self.disk, deadline)
            self.kill()

    def kill(self) -> None:
        """Ends the machine at once, as pulling the plug does."""
        with self._lock:
            self._asked_to_end = True
            init, watcher = self._init, self._watcher
        if init is None or watcher is None:
            return
        assert init.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            init.stdin.close()  # its end tells init to kill everything, which no one else finds as surely
        watcher.join(KILL_DEADLINE)
        if watcher.is_alive():
            signal_all(alive_below(init.pid), signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(init.pid, signal.SIGKILL)
            watcher.join()

    def close(self) -> None:
        """Kills the machine, and leaves its disk."""
        self.kill()
        self.metadata.stop()

    def destroy(self) -> None:
        """Kills the machine and deletes its disk."""
        self.kill()
        self.metadata.stop()
        shutil.rmtree(self.disk, ignore_errors=True)

    @property
    def _aws_config(self) -> Path:
        return self.disk / "etc/aws-config"

    def _make_disk(self) -> None:
        for folder in ("", "etc", "etc/sd-on-ec2", "home", "tmp", "run", "var", "var/lib", "var/log", "opt"):
            path = self.disk / folder
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._surroundings.user.own(path)
        self._aws_config.write_text(AWS_CONFIG, "utf-8")
        self._surroundings.user.own(self._aws_config)
        settings = [f"SD_PYTHON={sys.executable}"]
        if not self._surroundings.has_gpu:
            settings.append("SD_DEVICE=cpu")
        settings.append(f"AWS_ENDPOINT_URL={self._surroundings.aws_endpoint}")
        file = self.disk / "etc/sd-on-ec2/machine.env"
        file.write_text("".join(f"{line}\n" for line in settings), "utf-8")
        self._surroundings.user.own(file)

    def _watch(self, init: subprocess.Popen[str]) -> None:
        assert init.stdout is not None
        crashed = not any(json.loads(line)["event"] == "ended" for line in init.stdout)
        init.wait()
        kill_session(init.pid)
        for pipe in (init.stdin, init.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        with self._lock:
            asked = self._asked_to_end
        if not asked:
            if crashed:
                log.error("The machine below %s ended unexpectedly: %s", self.disk, self._errors())
            threading.Thread(target=self._on_end, daemon=True).start()

    def _errors(self) -> str:
        file = self.disk.parent / f"{self.disk.name}.init-errors"
        return file.read_text("utf-8", "replace")[-2000:] or "none"
