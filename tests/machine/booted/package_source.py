"""Finds the host's own package source, because that one is sure to be allowed and near."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass


class NoPackageSourceError(RuntimeError):
    """The host names no source of Debian packages; a sentence for a person."""


@dataclass(frozen=True)
class PackageSource:
    """A source and the host's own release of it, for example `bookworm`."""

    url: str
    suite: str


def host_package_source() -> PackageSource:
    """The first source that holds the host's own release. Raises `NoPackageSourceError`."""
    suite = _suite()
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    for line in listed.splitlines():
        codename, component, url = line.split(maxsplit=2)
        if (codename, component) == (suite, "main"):
            return PackageSource(url, suite)
    raise NoPackageSourceError(f"apt-get knows no source for {suite}. Run apt-get update, or check its sources.")


def _suite() -> str:
    with open("/etc/os-release", encoding="utf-8") as file:  # a fixed path of the system
        values = dict(line.strip().split("=", 1) for line in file if "=" in line)
    return values.get("VERSION_CODENAME", "").strip('"')
