"""Does what cloud-init does: fetches the user data at every boot and runs the script in it."""

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


async def run_boot_script(prefix: Path, environment: dict[str, str]) -> None:
    """Runs the user data's script, if there is one, to its end. Its output is the machine's console.

    The script lies below the machine's `var/lib/cloud`, as with cloud-init.
    """
    script = script_in(await asyncio.to_thread(_fetch, environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"]))
    if script is None:
        return
    path = prefix / "var/lib/cloud/scripts/per-boot/part-001"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(script)
    path.chmod(0o700)
    # Through the interpreter, since the folder may lie on a file system where nothing can be executed.
    words = script.splitlines()[0][2:].decode().split()
    words[0] = shutil.which(words[0], path=environment["PATH"]) or words[0]
    with (prefix / "var/log/cloud-init-output.log").open("ab") as console:
        process = await asyncio.create_subprocess_exec(
            *words,
            str(path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=console,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            cwd=prefix,
            process_group=0,
        )
        log.info("The user data's script ended with %s.", await process.wait())


def _fetch(endpoint: str) -> bytes:
    # The machine's own service on the loopback interface: no proxy has a say in it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(path: str, method: str, headers: dict[str, str]) -> bytes:
        url = f"{endpoint.rstrip('/')}/latest/{path}"
        request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310  # the cloud's own, and http
        answer: bytes = opener.open(request, timeout=TIMEOUT).read()
        return answer

    token = ask("api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "300"}).decode()
    return ask("user-data", "GET", {"X-aws-ec2-metadata-token": token})
