"""The part of cloud-init: fetches the user data at every boot and runs the scripts in it."""

from __future__ import annotations

import asyncio
import logging
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from scripts.local.machines.user_data import Runs, Script, scripts_in

log = logging.getLogger(__name__)

TIMEOUT = 10.0


class BootScripts:
    """The user data's scripts, below the machine's `var/lib/cloud`; their output is the machine's console."""

    def __init__(self, prefix: Path, environment: dict[str, str]) -> None:
        self._prefix = prefix
        self._environment = environment
        self._folder = prefix / "var/lib/cloud"
        self.console = prefix / "var/log/cloud-init-output.log"

    async def run(self) -> None:
        """Runs what is to be run at this boot, one script after the other."""
        instance_id, user_data = await asyncio.to_thread(self._fetch)
        for number, script in enumerate(scripts_in(user_data), 1):
            await self._run(script, number, instance_id)

    def _fetch(self) -> tuple[str, bytes]:
        endpoint = self._environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"].rstrip("/")
        # The machine's own service on the loopback interface: no proxy has a say in it.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        ask = urllib.request.Request(  # noqa: S310  # the endpoint is the cloud's own, and http
            f"{endpoint}/latest/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "300"}
        )
        token = opener.open(ask, timeout=TIMEOUT).read().decode()

        def get(path: str) -> bytes:
            headers = {"X-aws-ec2-metadata-token": token}
            request = urllib.request.Request(f"{endpoint}/latest/{path}", headers=headers)  # noqa: S310  # as above
            answer: bytes = opener.open(request, timeout=TIMEOUT).read()
            return answer

        instance_id = get("meta-data/instance-id").decode()
        try:
            return instance_id, get("user-data")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return instance_id, b""

    async def _run(self, script: Script, number: int, instance_id: str) -> None:
        interpreter = script.text.splitlines()[0] if script.text else b""
        if not interpreter.startswith(b"#!"):
            log.error("Part %s of the user data does not begin with #!: the kernel could not run it.", number)
            return
        done = self._folder / "instances" / instance_id / "sem" / f"script-{number:03}"
        if script.runs is Runs.ONCE and done.exists():
            log.info("Part %s of the user data has run on %s before.", number, instance_id)
            return
        path = self._folder / "scripts" / ("per-boot" if script.runs is Runs.EVERY_BOOT else "per-instance")
        path.mkdir(parents=True, exist_ok=True)
        path /= f"part-{number:03}"
        path.write_bytes(script.text)
        path.chmod(0o700)
        # Through the interpreter, since the folder may lie on a file system where nothing can be executed.
        words = interpreter[2:].decode().split()
        words[0] = shutil.which(words[0], path=self._environment["PATH"]) or words[0]
        self.console.parent.mkdir(parents=True, exist_ok=True)
        with self.console.open("ab") as console:
            process = await asyncio.create_subprocess_exec(
                *words,
                str(path),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=asyncio.subprocess.STDOUT,
                env=self._environment,
                cwd=self._prefix,
                process_group=0,
            )
            code = await process.wait()
        log.info("Part %s of the user data ended with %s.", number, code)
        if script.runs is Runs.ONCE:
            done.parent.mkdir(parents=True, exist_ok=True)
            done.touch()
