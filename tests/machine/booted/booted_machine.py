"""One emulated instance that really boots. It has the same methods as `scripts.local.machines.machine.Machine`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from scripts.local.aws.metadata_service import MetadataService
from tests.machine.booted import shared_python
from tests.machine.booted.cgroup import ControlGroup
from tests.machine.booted.container import Container
from tests.machine.booted.disk import Disk
from tests.machine.booted.gateway import Gateway
from tests.machine.booted.leftovers import machine_name
from tests.machine.booted.network import Network

log = logging.getLogger(__name__)

METADATA_ADDRESS = ("169.254.169.254", 80)


@dataclass(frozen=True)
class Build:
    """What machines are made of: the root file system, and what the image says in `machine.env`."""

    root: Path
    settings: Mapping[str, str] = field(default_factory=dict)


class BootedMachine:
    """A machine whose disk lies below `folder`, and whose network holds its metadata service and the AWS API only.

    `on_end` is called when the machine has ended by itself. A reboot from inside stays inside.
    `metadata` is the service; `to_metadata` and `to_aws` are the machine's ways to it and to the API.
    """

    def __init__(
        self,
        folder: Path,
        metadata: MetadataService,
        aws_endpoint: str,
        on_end: Callable[[], None],
        build: Build,
    ) -> None:
        self.metadata = metadata
        self.name = machine_name(folder.name)
        self.console_file = folder.with_name(f"{folder.name}.console")
        self._on_end = on_end
        self._lock = threading.RLock()
        self._container: Container | None = None
        self._asked_to_end = False
        self.disk = Disk(folder.with_name(self.name), build.root)
        self._write_settings(build, aws_endpoint)
        self._group = ControlGroup(self.name)
        self.network = Network(self.name)
        metadata.start()
        self.to_metadata = Gateway(self.network.listen(*METADATA_ADDRESS), _address(metadata.endpoint))
        # The machine finds the API under the host's own address of it, which is part of what the API answers.
        self.to_aws = Gateway(self.network.listen(*_address(aws_endpoint)), _address(aws_endpoint))
        self._services = [self.to_metadata, self.to_aws]

    @property
    def pid(self) -> int | None:
        """The process id of the machine's systemd on the host; None while the machine is off."""
        return self._container.init if self._container else None

    def processes(self) -> list[int]:
        """The ids of the machine's processes on the host."""
        return self._group.processes()

    @property
    def console(self) -> str:
        """What the user data's scripts have printed so far, over all boots."""
        return self.read("/var/log/cloud-init-output.log")

    def read(self, path: str) -> str:
        """The text of a file of the machine, empty when there is none."""
        file = self.disk.inside(path)
        return file.read_text("utf-8", "replace") if file.exists() else ""

    def limit_memory(self, megabytes: int) -> None:
        """Limits the memory of the machine's processes from the next start on. Raises `OSError` where that fails."""
        self._group.limit_memory(megabytes)

    def serve(self, host: str, port: int, target: tuple[str, int]) -> Gateway:
        """Puts another HTTP service of the host into the machine's network, at `host` and `port`."""
        gateway = Gateway(self.network.listen(host, port), target)
        self._services.append(gateway)
        return gateway

    def start(self) -> None:
        """Powers the machine on. Does nothing while it is on."""
        with self._lock:
            if self._container and not self._container.wait(0):
                return
            self._asked_to_end = False
            self._container = Container(
                name=self.name,
                root=self.disk.root,
                network=self.network.path,
                shared=shared_python.shared_folders(),
                console=self.console_file,
                group=self._group,
                ended=self._ended,
            )

    def power_off(self, deadline: float) -> None:
        """Powers the machine off in order, as a stop of the instance does; cuts its power after `deadline` seconds."""
        container = self._about_to_end()
        if container is None or container.wait(0):
            return
        if not container.power_off(deadline):
            log.warning("%s did not go down in %s s: its power is cut.", self.name, deadline)
            container.cut_power()

    def kill(self) -> None:
        """Ends the machine at once, as pulling the plug does."""
        container = self._about_to_end()
        if container and not container.wait(0):
            container.cut_power()

    def destroy(self) -> None:
        """Kills the machine, and deletes its disk and its network. Safe to call twice."""
        self.kill()
        for service in self._services:
            service.stop()
        self.metadata.stop()
        self._group.remove()
        self.network.remove()
        self.disk.delete()

    close = destroy

    def _about_to_end(self) -> Container | None:
        with self._lock:
            self._asked_to_end = True
            return self._container

    def _ended(self, cleanly: bool) -> None:
        with self._lock:
            if self._asked_to_end:
                return
        if not cleanly:
            log.error("%s ended unexpectedly; its console is %s.", self.name, self.console_file)
        # On a thread of its own, because it may wait for this machine's end.
        threading.Thread(target=self._on_end, daemon=True).start()

    def _write_settings(self, build: Build, aws_endpoint: str) -> None:
        shared_python.make_room(self.disk)
        given = {"SD_PYTHON": str(shared_python.interpreter()), "SD_DEVICE": "cpu", **build.settings}
        lines = "".join(f"{name}={value}\n" for name, value in given.items() if value)
        self.disk.write("/etc/sd-on-ec2/machine.env", lines)
        # The user data runs before machine.env is read, and finds the API in the standard way.
        endpoint = f"[Manager]\nDefaultEnvironment=AWS_ENDPOINT_URL={aws_endpoint}\n"
        self.disk.write("/etc/systemd/system.conf.d/20-local-cloud.conf", endpoint)


def _address(endpoint: str) -> tuple[str, int]:
    parts = urlsplit(endpoint)
    return str(parts.hostname), int(parts.port or 80)
