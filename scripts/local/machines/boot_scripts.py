"""The part of cloud-init: fetches the user data at every boot and runs the script in it."""

from __future__ import annotations

import asyncio
import email.parser
import email.policy
import logging
import shutil
import urllib.request
from pathlib import Path

log = logging.getLogger(__name__)

TIMEOUT = 10.0
CONTENT_TYPE = "text/x-shellscript-per-boot"


def script_in(user_data: bytes) -> bytes | None:
    """The script that cloud-init would run at every boot; None, and why in the log, where it would run none.

    That script is the only part of a MIME message. cloud-init cannot write a body with a character outside ASCII: its
    handler fails and nothing runs at all, so nothing runs here either. Other kinds of user data are not emulated.
    """
    message = email.parser.BytesParser(policy=email.policy.default).parsebytes(user_data)
    if message.get_content_type() != CONTENT_TYPE:
        log.error("Of user data, only a MIME message of type %s is emulated: nothing is run.", CONTENT_TYPE)
        return None
    script = user_data.partition(b"\n\n")[2]
    if not script.isascii():
        log.error("The MIME body holds a character outside ASCII: cloud-init fails on it, and nothing is run.")
        return None
    if not script.startswith(b"#!"):
        log.error("The user data's script does not begin with #!: the kernel could not run it.")
        return None
    return script


class BootScripts:
    """The user data's script, below the machine's `var/lib/cloud`; its output is the machine's console."""

    def __init__(self, prefix: Path, environment: dict[str, str]) -> None:
        self._prefix = prefix
        self._environment = environment

    async def run(self) -> None:
        """Runs what is to be run at this boot."""
        script = script_in(await asyncio.to_thread(self._fetch))
        if script is None:
            return
        path = self._prefix / "var/lib/cloud/scripts/per-boot/part-001"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(script)
        path.chmod(0o700)
        # Through the interpreter, since the folder may lie on a file system where nothing can be executed.
        words = script.splitlines()[0][2:].decode().split()
        words[0] = shutil.which(words[0], path=self._environment["PATH"]) or words[0]
        with (self._prefix / "var/log/cloud-init-output.log").open("ab") as console:
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
            log.info("The user data's script ended with %s.", await process.wait())

    def _fetch(self) -> bytes:
        endpoint = self._environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"].rstrip("/")
        # The machine's own service on the loopback interface: no proxy has a say in it.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        ask = urllib.request.Request(  # noqa: S310  # the endpoint is the cloud's own, and http
            f"{endpoint}/latest/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "300"}
        )
        token = opener.open(ask, timeout=TIMEOUT).read().decode()
        request = urllib.request.Request(  # noqa: S310  # as above
            f"{endpoint}/latest/user-data", headers={"X-aws-ec2-metadata-token": token}
        )
        answer: bytes = opener.open(request, timeout=TIMEOUT).read()
        return answer
