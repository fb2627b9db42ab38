"""What `systemctl` asks for, answered for the machine's own services."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scripts.local.machines.service import Service
from scripts.local.machines.unit_file import parse_unit

QUIET_OPTIONS = ("--quiet", "-q", "--no-block", "--no-pager", "--system", "--full", "-l", "--no-ask-password")
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
        self._units = prefix / "etc/systemd/system"
        self._wanted = self._units / "multi-user.target.wants"
        self._services: dict[str, Service] = {}

    async def start_enabled(self) -> None:
        """Starts what `enable` was called for, as a boot does."""
        for link in sorted(self._wanted.glob("*.service")):
            await self._start(link.name)

    async def stop_all(self) -> None:
        """Stops every service, the last one started first."""
        for service in reversed(self._services.values()):
            await service.stop()

    async def systemctl(self, arguments: list[str]) -> Answer:
        """Does what one `systemctl` call asks for."""
        words = [word for word in arguments if word not in QUIET_OPTIONS]
        now = "--now" in words
        words = [word for word in words if word != "--now"]
        if not words:
            return Answer(1, err="systemctl: a command is missing; start, stop, restart and is-active are some\n")
        verb, rest = words[0], words[1:]
        if verb == "show":
            return self._show(rest)
        if verb == "daemon-reload":
            return Answer()  # the files are read at every start
        names = [name if "." in name else f"{name}.service" for name in rest if not name.startswith("-")]
        if verb == "is-active":
            return self._is_active(names)
        if verb == "enable":
            return await self._enable(names, now)
        if verb not in ("start", "stop", "restart", "try-restart", "reset-failed", "disable"):
            return Answer(1, err=f"systemctl: {verb} is not emulated on this machine\n")
        for name in names or list(self._services):
            answer = await self._do(verb, name)
            if answer.code:
                return answer
        return Answer()

    async def _do(self, verb: str, name: str) -> Answer:
        service = self._services.get(name)
        if verb == "disable":
            (self._wanted / name).unlink(missing_ok=True)
        elif verb == "reset-failed":
            if service:
                service.reset_failed()
        elif verb == "start":
            return await self._start(name)
        elif verb == "try-restart" and (service is None or service.state != "active"):
            return Answer()
        else:
            if service:
                await service.stop()
            elif not (self._units / name).exists():
                return Answer(5, err=f"Failed to {verb} {name}: Unit {name} not loaded.\n")
            if verb != "stop":
                return await self._start(name)
        return Answer()

    async def _start(self, name: str) -> Answer:
        service = self._services.setdefault(name, Service(name, self._prefix, self._environment))
        try:
            unit = parse_unit(name, (self._units / name).read_text("utf-8"), self._prefix)
            await service.start(unit)
        except FileNotFoundError as error:
            return Answer(5, err=f"Failed to start {name}: {error.filename or name} is not there.\n")
        except (OSError, ValueError) as error:
            return Answer(1, err=f"Failed to start {name}: {error}\n")
        # The last one started comes last, and is stopped first.
        self._services[name] = self._services.pop(name)
        return Answer()

    async def _enable(self, names: list[str], now: bool) -> Answer:
        for name in names:
            if not (self._units / name).exists():
                return Answer(1, err=f"Failed to enable unit: Unit file {name} does not exist.\n")
            self._wanted.mkdir(parents=True, exist_ok=True)
            (self._wanted / name).touch()
            if now and (answer := await self._start(name)).code:
                return answer
        return Answer()

    def _is_active(self, names: list[str]) -> Answer:
        states = [self._services[name].state if name in self._services else "inactive" for name in names]
        return Answer(0 if "active" in states else INACTIVE, out="".join(f"{state}\n" for state in states))

    def _show(self, arguments: list[str]) -> Answer:
        wanted: list[str] = []
        names = []
        words = iter(arguments)
        for word in words:
            if word in ("-p", "--property"):
                wanted += next(words, "").split(",")
            elif word.startswith("--property="):
                wanted += word.partition("=")[2].split(",")
            elif word != "--value":
                names.append(word if "." in word else f"{word}.service")
        service = self._services.get(names[0]) if names else None
        values = {
            "ActiveState": service.state if service else "inactive",
            "Result": service.result if service else "success",
            "MainPID": str(service.main_pid if service else 0),
            "ExecMainStatus": str(service.exit_status if service else 0),
        }
        shown = {key: values.get(key, "") for key in wanted} if wanted else values
        lines = [value if "--value" in arguments else f"{key}={value}" for key, value in shown.items()]
        return Answer(out="".join(f"{line}\n" for line in lines))
