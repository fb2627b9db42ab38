"""Weights and environment from a server that speaks as the real ones do, and sometimes as they do on bad days."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import sysconfig
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from scripts.local.booted.booted_machine import BootedMachine
from scripts.local.booted.shared_python import interpreter
from tests.machine import manners
from tests.machine.bundles import MODEL, environment_pinned, instead_of_the_bundle, weights_pinned
from tests.machine.hub import Hub
from tests.machine.instance import Instance
from tests.machine.outcomes import assert_done, assert_failed
from tests.machine.site import Site
from userdata.boot.conda import VERSION
from userdata.worker.catalogue import read_catalogue

ADDRESS = ("10.9.8.7", 80)
URL = f"http://{ADDRESS[0]}"
WEIGHTS = random.Random(7).randbytes(3_000_000)
MINIFORGE = f"/miniforge/{VERSION}/Miniforge3-{VERSION}-Linux-x86_64.sh"
WHEEL = "sd_probe-1.0-py3-none-any.whl"


class Launch:
    """Launches an instance whose network has a hub, `hub` after the launch."""

    def __init__(self, site: Site, files: dict[str, bytes], changed: dict[str, str]) -> None:
        self._site = site
        self._files = files
        self._changed = changed
        self.hub: Hub

    @contextmanager
    def __call__(
        self, given: dict[str, str], machine_env: dict[str, str], manner: manners.Manner
    ) -> Iterator[Instance]:
        def prepare(machine: BootedMachine) -> None:
            self.hub = Hub(machine.network.listen(*ADDRESS), self._files)
            self.hub.manner = manner
            machine.to_aws.fault = instead_of_the_bundle(self._changed)

        try:
            with self._site.launched(given, machine_env=machine_env, prepare=prepare) as instance:
                yield instance
        finally:
            self.hub.stop()


@contextmanager
def launched_for_weights(site: Site, manner: manners.Manner) -> Iterator[tuple[Instance, Launch]]:
    source = read_catalogue()[MODEL].source
    assert source
    launch = Launch(site, {urlsplit(source.url).path: WEIGHTS}, weights_pinned(WEIGHTS))
    with launch({"Model": MODEL}, {"SD_WEIGHTS_URL": URL}, manner) as instance:
        yield instance, launch


@pytest.mark.parametrize(
    "manner",
    [
        pytest.param(manners.breaks_twice(), id="the connection breaks twice"),
        pytest.param(manners.busy_twice(), id="the server is busy twice"),
    ],
)
def test_weights_arrive_whole_all_the_same(site: Site, manner: manners.Manner) -> None:
    with launched_for_weights(site, manner) as (instance, launch):
        instance.wait_for_state("stopped")
        assert_arrived(instance)
        assert len(launch.hub.ranges) == 3


def test_a_power_cut_loses_nothing_of_a_download(site: Site) -> None:
    stalls = manners.StallsOnce()
    with launched_for_weights(site, stalls) as (instance, launch):
        assert stalls.reached.wait(180)
        instance.cut_power()
        instance.start()
        instance.wait_for_state("stopped")
        assert_arrived(instance)
        first, again = launch.hub.ranges
        assert first is None
        assert again is not None and 0 < int(again.removeprefix("bytes=").rstrip("-")) <= len(WEIGHTS) // 2


@pytest.mark.parametrize(
    ("manner", "message"),
    [
        pytest.param(manners.login_page, "login page", id="a login page"),
        pytest.param(manners.refuses, "behind an agreement or a login", id="a licence that was not accepted"),
        pytest.param(manners.other_bytes, "is pinned, twice", id="the wrong checksum"),
    ],
)
def test_wrong_weights_are_told_and_never_used(site: Site, manner: manners.Manner, message: str) -> None:
    with launched_for_weights(site, manner) as (instance, _):
        assert_failed(instance, step="weights", message=message)
        assert not list(instance.machine.disk.inside("/opt/sd-on-ec2/models").rglob("*.safetensors"))


def test_the_environment_is_built_once_also_over_a_power_cut(site: Site) -> None:
    installer, wheel = _installer(), _wheel()
    locked = f"sd-probe==1.0 --hash=sha256:{hashlib.sha256(wheel).hexdigest()}\n"
    index = f'<a href="/packages/{WHEEL}">{WHEEL}</a>'.encode()
    files = {MINIFORGE: installer, "/simple/sd-probe/": index, f"/packages/{WHEEL}": wheel}
    environment = {
        "SD_PYTHON": "",
        "SD_MINIFORGE_URL": f"{URL}/miniforge",
        "PIP_INDEX_URL": f"{URL}/simple",
        "PIP_TRUSTED_HOST": ADDRESS[0],
    }
    launch = Launch(site, files, environment_pinned(installer, locked))
    with launch({}, environment, manners.well) as instance:
        instance.wait_for_line("environment ...")
        instance.cut_power()
        instance.start()
        assert_done(instance)
        asked = len(launch.hub.ranges)
        instance.update(Prompt="A tree in forest")
        instance.start()
        assert_done(instance)
        assert len(launch.hub.ranges) == asked
        assert "the environment ldm is already there" in instance.machine.read("/var/log/sd-on-ec2/boot.log")


def assert_arrived(instance: Instance) -> None:
    """The weights are on the disk. They are no model, so the worker fails, and says so."""
    (file,) = instance.machine.disk.inside(f"/opt/sd-on-ec2/models/{MODEL}").glob("*.safetensors")
    assert file.read_bytes() == WEIGHTS
    assert "weights" in [phase["phase"] for phase in instance.boots()[-1]["phases"]]
    assert_failed(instance, step="model", message="")


def _installer() -> bytes:
    """As Miniforge's: `-b -p PREFIX`. Its conda makes environments that see the packages of the shared interpreter."""
    packages = sysconfig.get_path("purelib")
    version = sysconfig.get_python_version()
    return f"""#!/bin/bash
set -eu
mkdir -p "$3/bin"
cat >"$3/bin/conda" <<'CONDA'
#!/bin/bash
set -eu
prefix=${{!#}}
{interpreter()} -m venv --without-pip "$prefix"
echo {packages} >"$prefix/lib/python{version}/site-packages/shared.pth"
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
