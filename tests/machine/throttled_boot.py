"""Measures first boots that fetch and build everything, from a server behind a line of a stated speed.

Everything is about an eighth as large as on a GPU machine, and the line an eighth as fast, so that what a phase waits
for the network is as long as there. The packages are those of the instance's lock, without CUDA's, for this computer's
Python: their code is compiled as there. Conda is a stand-in that takes no time; the weights are noise, so that the
run ends when the worker has been handed its model.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from scripts.command_line.results.timeline import Timeline, read_timelines
from scripts.local.command_environment import CHECKOUT
from tests.machine.booted.root_file_system import CACHE
from tests.machine.booted.shared_python import interpreter
from tests.machine.site import manners
from tests.machine.site.bundles import MODEL, environment_pinned, safety_checker_pinned, weights_pinned
from tests.machine.site.environment_server import ENVIRONMENT, MINIFORGE, in_index, uv_wheel
from tests.machine.site.launch import URL, Launch
from tests.machine.site.line import Line
from tests.machine.site.site import Site
from userdata.contract.catalogue import Model, find_model, safety_checker

SHARE = 8
# In bytes a second: what others measured of one connection to the hub's storage (40 to 62 MB/s); and for all together a
# choice, below the network of the small GPU types.
ONE_CONNECTION = 60e6 / SHARE
TOGETHER = 240e6 / SHARE
LATENCY = 0.03  # seconds before each answer; the hub redirects, so a file takes two
BOOT_SECONDS = 1800
PARAMETER_READER = "userdata/contract/parameter_file.py"
CONDA = f"""#!/bin/bash
set -eu
mkdir -p "$3/bin"
printf '#!/bin/bash\\nset -eu\\n{interpreter()} -m venv "${{!#}}"\\n' >"$3/bin/conda"
chmod +x "$3/bin/conda"
"""


class ThrottledBoots:
    """First boots at `site`, all from the same files."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._wheels = [(file.name, file.read_bytes()) for file in _wheels()]
        self._weights = os.urandom(find_model(MODEL).bytes // SHARE)
        self._checker = os.urandom(safety_checker().bytes // SHARE)

    def describe(self) -> list[str]:
        """What is fetched, and how."""
        packages = sum(len(wheel) for _, wheel in self._wheels) / 1e6
        return [
            f"the line: {LATENCY * 1000:.0f} ms before each answer, {ONE_CONNECTION / 1e6:.1f} MB/s for one connection,"
            f" {TOGETHER / 1e6:.0f} MB/s together (an eighth of 60 and 240 MB/s)",
            f"fetched: {len(self._wheels)} packages, {packages:.0f} MB; weights, {len(self._weights) / 1e6:.0f} MB; a "
            f"safety checker, {len(self._checker) / 1e6:.0f} MB",
        ]

    def boot(self, userdata: Path) -> Timeline:
        """The phases of a first boot with the bundle of the folder `userdata`."""
        installer = CONDA.encode()
        files = {MINIFORGE: installer, **in_index("uv", *uv_wheel())}
        for name, wheel in self._wheels:
            files |= in_index(_package(name), name, wheel)
        files |= {_path(find_model(MODEL)): self._weights, _path(safety_checker()): self._checker}
        pinned = {
            **environment_pinned(installer, self._lock(), userdata),
            **weights_pinned(self._weights, userdata),
            **safety_checker_pinned(self._checker, userdata),
        }
        line = Line(latency=LATENCY, connection=ONE_CONNECTION, together=TOGETHER)
        launch = Launch(self._site, files, pinned, line=line, userdata=userdata)
        given = {"Model": MODEL, "SafetyChecker": "mark", "Cache": "off"}
        with launch(given, {**ENVIRONMENT, "SD_WEIGHTS_URL": URL}, manners.well) as instance:
            instance.wait_for_state("stopped", seconds=BOOT_SECONDS)
            (timeline,) = read_timelines(instance.s3, instance.bucket, instance_id=instance.id, run_id=instance.run_id)
            names = [phase.phase for phase in timeline.phases]
            if "worker" not in names:
                raise SystemExit(instance.story())
        return Timeline(timeline.started_at, timeline.phases[: names.index("worker") + 1])

    def _lock(self) -> str:
        lines = [
            f"{_package(name)}=={name.split('-')[1]} --hash=sha256:{hashlib.sha256(wheel).hexdigest()}\n"
            for name, wheel in self._wheels
        ]
        return "".join(lines)


def userdata_of(commit: str, folder: Path) -> Path:
    """The bundle's files as they were at `commit`, written below `folder`.

    Only what reads the parameters is today's, because the user data that writes them is today's.
    """
    packed = subprocess.run(
        ["git", "-C", str(CHECKOUT), "archive", commit, "userdata"], check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    shutil.copy(CHECKOUT / PARAMETER_READER, folder / PARAMETER_READER)
    return folder / "userdata"


def _wheels() -> list[Path]:
    """The wheels of the instance's packages that this environment has, in its versions; fetched with pip, and kept."""
    names = re.findall(r"^([\w.-]+)(?:\[.*\])?==", (CHECKOUT / "userdata/requirements.txt").read_text("utf-8"), re.M)
    wanted = {canonicalize_name(name) for name in names}
    installed = {canonicalize_name(one.name): one.version for one in importlib.metadata.distributions()}
    versions = sorted(f"{name}=={installed[name]}" for name in wanted & installed.keys())
    folder = CACHE / f"wheels-{hashlib.sha256(' '.join(versions).encode()).hexdigest()[:16]}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*pip, "--dest", str(folder), *versions], check=True, stderr=subprocess.DEVNULL)
    return sorted(folder.glob("*.whl"))


def _package(wheel: str) -> str:
    return canonicalize_name(wheel.split("-")[0])


def _path(model: Model) -> str:
    (file,) = model.files
    return urlsplit(model.url(file)).path
