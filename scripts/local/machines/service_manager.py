"""The machine's services, and what `systemctl` asks of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scripts.local.machines.service import Service
from scripts.local.machines.unit_file import parse_unit

VERBS = frozenset({"daemon-reload", "is-active", "is-system-running", "restart", "start", "stop"})
INACTIVE = 3


@dataclass(frozen=True)
class Answer:
    """What a command prints, and its exit code."""

    code: int = 0
    out: str = ""
    err: str = ""


class ServiceManager:
    """The services whose files lie in `<prefix>/etc/systemd/system`."""

    def __init__(self, prefix: Path, environment: dict[str, str]) -> None:
        self._prefix = prefix
        self._environment = environment
        self._services: dict[str, Service] = {}
        self._going_down = False

    async def stop_all(self) -> None:
        """Stops every service, the last one started first, because the machine goes down."""
        self._going_down = True
        for service in reversed(self._services.values()):
            await service.stop()

    async def obey(self, verb: str, units: list[str]) -> Answer:
        """Does what one `systemctl` call asks for: one of `VERBS`."""
        if verb == "daemon-reload":
            return Answer()  # the files are read at every start
        if verb == "is-system-running":
            return Answer(1, out="stopping\n") if self._going_down else Answer(out="running\n")
        for unit in units:
            name = unit if "." in unit else f"{unit}.service"
            service = self._services.get(name)
            if verb == "is-active":
                state = service.state if service else "inactive"
                return Answer(0 if state == "active" else INACTIVE, out=f"{state}\n")
            if verb != "start" and service:
                await service.stop()
            if verb != "stop":
                answer = await self._start(name)
                if answer.code:
                    return answer
        return Answer()

    async def _start(self, name: str) -> Answer:
        if self._going_down:
            return Answer(1, err=f"Failed to start {name}: the machine goes down.\n")
        service = self._services.setdefault(name, Service(name, self._prefix, self._environment))
        try:
            file = self._prefix / "etc/systemd/system" / name
            await service.start(parse_unit(name, file.read_text("utf-8"), self._prefix))
        except FileNotFoundError as error:
            return Answer(5, err=f"Failed to start {name}: {error.filename or name} does not exist.\n")
        except (OSError, ValueError) as error:
            return Answer(1, err=f"Failed to start {name}: {error}\n")
        # The last one started comes last, and is stopped first.
        self._services[name] = self._services.pop(name)
        return Answer()
