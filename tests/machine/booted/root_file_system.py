"""The root file system that every booted machine begins with: built once, then kept.

It is the host's own release, so that the host's Python, which the machines share, finds the libraries it was built
for. What the Deep Learning AMI has and our user data asks for is in it: systemd, cloud-init, Python, curl.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.machine.booted.alone import alone
from tests.machine.booted.package_source import PackageSource, host_package_source

CACHE = Path(__file__).resolve().parents[3] / ".cache/machines"
PACKAGES = "systemd,systemd-sysv,dbus,cloud-init,iproute2,python3,curl,ca-certificates,udev"
MAKING = 900  # seconds

CLOUD_INIT = """\
datasource_list: [ Ec2 ]
datasource: {Ec2: {strict_id: false, metadata_urls: ["http://169.254.169.254"]}}
network: {config: disabled}
locale: C.UTF-8
ssh_genkeytypes: []
"""
# cloud-init tells EC2, and so whether to ask for a metadata token, by the firmware's words, and takes a container to
# have none. This is what EC2's says; nothing else of cloud-init is changed.
FIRMWARE = """

def read_dmi_data(key):
    return {"system-uuid": "ec20c0de", "system-serial-number": "ec20c0de"}.get(key)
"""
FIRMWARE_READER = "usr/lib/python3/dist-packages/cloudinit/dmi.py"
# Services of ours set their own time; what belongs to the image must not make every power-off wait.
SYSTEMD = """\
[Manager]
DefaultTimeoutStopSec=5s
"""
FILES = {
    "etc/cloud/cloud.cfg.d/90_ec2.cfg": CLOUD_INIT,
    "etc/systemd/system.conf.d/10-quick.conf": SYSTEMD,
    "etc/machine-id": "",
}
# Nobody logs in here, and no timer of the image may interfere. logind stays, as `systemctl poweroff` asks it first.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "cloud-init-hotplugd.socket",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "systemd-pstore.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
)


class RootFileSystemError(RuntimeError):
    """The root file system could not be made. The message has the last lines of the failed command."""


def root_file_system(cache: Path = CACHE) -> Path:
    """The folder of the finished root file system, made where it is missing (a minute or two).

    Its name follows from everything it is made from, so another recipe makes another one; older ones are removed.
    Raises `RootFileSystemError`, or `NoPackageSourceError`.
    """
    source = host_package_source()
    root = cache / _recipe(source)
    cache.mkdir(parents=True, exist_ok=True)
    with alone(cache / "lock"):
        if not root.exists():
            part = cache / "part"
            _remove(part)
            _make(part, source)
            part.rename(root)
        for other in cache.iterdir():
            if other.is_dir() and other != root:
                _remove(other)
    return root


def _recipe(source: PackageSource) -> str:
    words = (source.suite, PACKAGES, sorted(FILES.items()), MASKED, Path(__file__).read_text("utf-8"))
    return f"{source.suite}-{hashlib.sha256(repr(words).encode()).hexdigest()[:12]}"


def _make(part: Path, source: PackageSource) -> None:
    # debootstrap orders some packages wrongly (python3-cryptography before its library) and ends with an error that
    # one more round of apt mends; only that round's result counts.
    debootstrap = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}"]
    _run([*debootstrap, source.suite, str(part), source.url], check=False)
    _run(["chroot", str(part), "apt-get", "--yes", "--fix-broken", "install"])
    _run(["chroot", str(part), "apt-get", "clean"])
    for name in ("usr/share/doc", "usr/share/locale", "usr/share/man", "var/lib/apt/lists"):
        shutil.rmtree(part / name, ignore_errors=True)
    for name, text in FILES.items():
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        (part / name).write_text(text, "utf-8")
    with (part / FIRMWARE_READER).open("a", encoding="utf-8") as reader:
        reader.write(FIRMWARE)
    for unit in MASKED:
        link = part / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")


def _run(command: list[str], *, check: bool = True) -> None:
    done = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=MAKING,
        check=False,
    )
    if check and done.returncode:
        last = "\n".join(done.stdout.splitlines()[-20:])
        raise RootFileSystemError(f"{' '.join(command)} ended with {done.returncode}:\n{last}")


def _remove(root: Path) -> None:
    """Deletes a root file system, but never what might still be mounted inside one."""
    if root.exists():
        subprocess.run(["rm", "-rf", "--one-file-system", str(root)], check=True)
