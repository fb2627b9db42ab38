"""What conda and the packages are fetched from: a small installer and a package index, both by their hashes."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import subprocess
import sys
import sysconfig
import zipfile

from tests.machine.booted.alone import alone
from tests.machine.booted.root_file_system import CACHE
from tests.machine.booted.shared_python import interpreter, packages
from tests.machine.site.bundles import USERDATA, environment_pinned
from tests.machine.site.launch import ADDRESS, URL
from userdata.boot.steps.conda import VERSION

MINIFORGE = f"/miniforge/{VERSION}/Miniforge3-{VERSION}-Linux-x86_64.sh"
WHEEL = "sd_probe-1.0-py3-none-any.whl"
# What a machine is told whose environment is to come from there.
ENVIRONMENT = {
    "SD_PYTHON": "",
    "SD_MINIFORGE_URL": f"{URL}/miniforge",
    "PIP_INDEX_URL": f"{URL}/simple",
    "PIP_TRUSTED_HOST": ADDRESS[0],
}


def environment_server(*, installer: bytes | None = None) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files to serve, and those of the bundle that pin them; `installer` is another one than usual."""
    installer, wheel = installer or _installer(), _wheel()
    locked = f"sd-probe==1.0 --hash=sha256:{hashlib.sha256(wheel).hexdigest()}\n"
    files = {MINIFORGE: installer, **in_index("sd-probe", WHEEL, wheel), **in_index("uv", *uv_wheel())}
    return files, environment_pinned(installer, locked)


def in_index(package: str, name: str, wheel: bytes) -> dict[str, bytes]:
    """A package's page in the index, and its only wheel."""
    return {f"/simple/{package}/": f'<a href="/packages/{name}">{name}</a>'.encode(), f"/packages/{name}": wheel}


@functools.cache
def uv_wheel() -> tuple[str, bytes]:
    """The name and the bytes of the wheel that userdata/uv.txt pins; fetched once, with pip, and kept."""
    pinned = USERDATA / "uv.txt"
    folder = CACHE / f"uv-{hashlib.sha256(pinned.read_bytes()).hexdigest()[:16]}"
    with alone(CACHE / "uv.lock"):
        if not list(folder.glob("*.whl")):
            options = ("-qq", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--dest", str(folder))
            pip = [sys.executable, "-m", "pip", "download"]
            subprocess.run([*pip, *options, "--requirement", str(pinned)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel.name, wheel.read_bytes()


def insatiable_installer() -> bytes:
    """An installer that takes memory for ever."""
    return b"#!/bin/bash\nexec python3 -c 'taken = []\nwhile True: taken.append(bytes(1 << 20) + bytes(1))'\n"


def _installer() -> bytes:
    """As Miniforge's: `-b -p PREFIX`. Its conda makes environments that see the packages of the shared interpreter."""
    version = sysconfig.get_python_version()
    return f"""#!/bin/bash
set -eu
mkdir -p "$3/bin"
cat >"$3/bin/conda" <<'CONDA'
#!/bin/bash
set -eu
prefix=${{!#}}
{interpreter()} -m venv --copies --without-pip "$prefix"
echo {packages()} >"$prefix/lib/python{version}/site-packages/shared.pth"
CONDA
chmod +x "$3/bin/conda"
""".encode()


def _wheel() -> bytes:
    """A package without anything in it but what a package needs."""
    files = {
        "sd_probe.py": b"",
        "sd_probe-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: sd-probe\nVersion: 1.0\n",
        "sd_probe-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items())
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as wheel:
        for name, content in {**files, "sd_probe-1.0.dist-info/RECORD": record.encode()}.items():
            wheel.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)
    return made.getvalue()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
