from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.local.command_environment import CHECKOUT
from scripts.local.machines.unit_file import Command, EnvironmentFile, below_prefix, parse_environment_file, parse_unit
from userdata.contract.environment_file import environment_text

PREFIX = Path("/disk")


def test_the_worker_s_unit_is_read() -> None:
    text = (CHECKOUT / "userdata/sd-worker.service").read_text("utf-8")
    unit = parse_unit("sd-worker.service", text, PREFIX)
    assert unit.start == ["/bin/bash", "/disk/opt/sd-on-ec2/current/userdata/worker.sh"]
    assert unit.stop_post == [
        Command(["/usr/bin/env", "python3", "-u", "-m", "userdata.boot.tell_failure"], may_fail=True),
        Command(["/usr/bin/env", "python3", "-u", "-m", "userdata.boot.after_worker"], may_fail=False),
    ]
    assert unit.working_directory == Path("/disk/opt/sd-on-ec2/current")
    assert unit.environment == {
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_METADATA_SERVICE_TIMEOUT": "5",
        "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "3",
    }
    assert unit.environment_files == [
        EnvironmentFile(Path("/disk/etc/sd-on-ec2/machine.env"), optional=True),
        EnvironmentFile(Path("/disk/var/lib/sd-on-ec2/worker.env"), optional=False),
    ]
    assert unit.state_directories == ["sd-worker"]
    assert unit.success == {0, 143}
    assert unit.timeout_stop == 90


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[Service]\nType=simple\n", "no ExecStart"),
        ("[Service]\nnonsense\nExecStart=/a\n", "line 2"),
        ("[Service]\nExecStart=/a\nTimeoutStopSec=soon\n", "line 3.*soon"),
        ("[Service]\nExecStart=/a\nRestart=always\n", "line 3: Restart= is not emulated"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_unit("x.service", text, PREFIX)


def test_only_a_machine_s_own_folders_get_the_prefix() -> None:
    assert below_prefix("/opt/x", PREFIX) == "/disk/opt/x"
    assert below_prefix("/var", PREFIX) == "/disk/var"
    assert below_prefix("/optional/x", PREFIX) == "/optional/x"
    assert below_prefix("/usr/bin/env", PREFIX) == "/usr/bin/env"


@given(st.dictionaries(st.sampled_from("ABC"), st.text(st.characters(codec="ascii", min_codepoint=32), max_size=50)))
def test_what_the_boot_writes_arrives_unchanged(environment: dict[str, str]) -> None:
    assert parse_environment_file("# no\n; no\n\n" + environment_text(environment)) == environment
