"""The units' limits: each of them is there, and systemd rates the units as SECURITY.md says."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from scripts.proof.run_looks import scores_in
from scripts.proof.steps import SCORES
from tests.unit.boot.conftest import BUNDLE

UNITS = ("sd-cache.service", "sd-drawing@.service", "sd-worker.service")
OF_ALL = """
CapabilityBoundingSet=
DynamicUser=yes
LockPersonality=yes
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes
RestrictRealtime=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
"""
WITH_A_CARD = "DevicePolicy=closed\nDeviceAllow=char-nvidia* rw\n"
ONLINE = "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n"
OF_ONE = {
    "sd-cache.service": f"{ONLINE}PrivateDevices=yes\nProtectProc=invisible\nUMask=0077\n",
    "sd-drawing@.service": f"{WITH_A_CARD}PrivateNetwork=yes\nIPAddressDeny=any\nRestrictAddressFamilies=AF_UNIX\n"
    "ProtectProc=invisible\n",
    "sd-worker.service": f"{WITH_A_CARD}{ONLINE}",
}
# What each would break is told in the unit.
HARMFUL = {
    "sd-cache.service": (),
    "sd-drawing@.service": ("MemoryDenyWriteExecute", "PrivateDevices", "ProcSubset", "UMask"),
    "sd-worker.service": ("MemoryDenyWriteExecute", "PrivateDevices", "ProcSubset", "ProtectProc", "UMask"),
}


def lines_of(unit: str) -> list[str]:
    return (BUNDLE / unit).read_text("utf-8").splitlines()


@pytest.mark.parametrize("unit", UNITS)
def test_each_limit_is_there_and_none_that_would_break_the_work(unit: str) -> None:
    lines = lines_of(unit)
    assert [limit for limit in (OF_ALL + OF_ONE[unit]).split("\n") if limit and limit not in lines] == []
    assert [line for line in lines if line.partition("=")[0] in HARMFUL[unit]] == []


def test_root_runs_only_what_powers_off() -> None:
    """A command with a plus is root's. It has no limits, and must not open what others have written."""
    roots = [line for unit in UNITS for line in lines_of(unit) if re.match(r"Exec\w+=[-@:!]*\+", line)]
    assert [line.rpartition(".")[2] for line in roots] == ["after_cache", "after_worker"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_rates_the_units_as_is_written() -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", *(str(BUNDLE / unit) for unit in UNITS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found, written = (
        {unit: float(score) for unit, score in (one.split(" ") for one in text.split(", "))}
        for text in (scores_in(done.stdout), SCORES)
    )
    worse = {unit: score for unit, score in found.items() if score > written[unit]}
    assert found.keys() == written.keys()
    assert not worse, "close the units again, or say in SECURITY.md why they are opened"
    page = (BUNDLE.parent / "SECURITY.md").read_text("utf-8")
    for unit, score in written.items():
        assert re.search(rf"\| `{unit}@?\.service` \|.*\| {score} \|", page), f"SECURITY.md has another score of {unit}"
