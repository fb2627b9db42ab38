"""What is said where no machine can boot, and where their root file system cannot be made."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from tests.machine.booted import __main__ as preparation
from tests.machine.booted.ability import reason_against
from tests.machine.booted.root_file_system import RootFileSystemError


def test_where_no_machine_can_boot_it_is_said_and_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "platform", "linux")
    assert preparation.main() == 0
    assert "skipped: machines boot for root only" in capsys.readouterr().err


def test_what_is_missing_is_named_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "systemd-nspawn" else program)
    assert reason_against() == "machines need systemd-container; apt-get install systemd-container"


def test_a_python_that_the_worker_would_not_see_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda program: program)
    monkeypatch.setattr(sys, "base_prefix", "/tmp/python3.11")
    assert reason_against() == (
        "the worker has a /tmp of its own and would not see /tmp/python3.11; make .venv with a Python elsewhere"
    )
    monkeypatch.setattr(sys, "base_prefix", "/tmpfs/python3.11")
    assert reason_against() is None


def test_a_root_file_system_that_cannot_be_made_is_an_error_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RootFileSystemError("debootstrap ended with 1:\nno space")

    monkeypatch.setattr(preparation, "reason_against", lambda: None)
    monkeypatch.setattr(preparation, "root_file_system", fail)
    assert preparation.main() == 1
    assert "no root file system: debootstrap ended with 1" in capsys.readouterr().err
