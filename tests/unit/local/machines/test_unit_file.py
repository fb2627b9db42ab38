from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.local.machines.unit_file import (
    Command,
    EnvironmentFile,
    below_prefix,
    expand,
    parse_environment_file,
    parse_unit,
)

PREFIX = Path("/disk")

UNIT = """\
# what works
[Unit]
Description=A worker, with ExecStart= in its name
[Service]
Type=simple
WorkingDirectory=/opt/sd/current
Environment=A=1 "B=two words"
EnvironmentFile=-/etc/sd/machine.env
EnvironmentFile=/var/lib/sd/worker.env
ExecStart=/bin/bash \\
  /opt/sd/current/worker.sh --name "a b"
ExecStopPost=+/bin/bash /opt/sd/current/after.sh
ExecStopPost=-/bin/false
StateDirectory=sd-worker other
TimeoutStopSec=1min 30s
DynamicUser=yes
[Install]
WantedBy=multi-user.target
"""


def test_the_keys_that_matter_are_read() -> None:
    unit = parse_unit("sd.service", UNIT, PREFIX)
    assert unit.start == Command(["/bin/bash", "/disk/opt/sd/current/worker.sh", "--name", "a b"], may_fail=False)
    assert unit.stop_post == [
        Command(["/bin/bash", "/disk/opt/sd/current/after.sh"], may_fail=False),
        Command(["/bin/false"], may_fail=True),
    ]
    assert unit.working_directory == Path("/disk/opt/sd/current")
    assert unit.environment == {"A": "1", "B": "two words"}
    assert unit.environment_files == [
        EnvironmentFile(Path("/disk/etc/sd/machine.env"), optional=True),
        EnvironmentFile(Path("/disk/var/lib/sd/worker.env"), optional=False),
    ]
    assert unit.state_directories == ["sd-worker", "other"]
    assert unit.timeout_stop == 90


def test_an_empty_value_forgets_the_ones_before() -> None:
    unit = parse_unit("x", "[Service]\nExecStart=/bin/a\nExecStart=\nExecStart=/bin/b\nExecStopPost=/c\n", PREFIX)
    assert unit.start == Command(["/bin/b"], may_fail=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[Service]\nType=simple\n", "no ExecStart"),
        ("[Service]\nnonsense\nExecStart=/a\n", "line 2"),
        ("[Service]\nExecStart=/a\nTimeoutStopSec=soon\n", "line 3.*soon"),
        ("[Service]\nExecStart=+\n", "names no program"),
        ("[Service]\nExecStart=/a 'open\n", "line 2"),
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
    assert below_prefix("opt/x", PREFIX) == "opt/x"


def test_variables_are_expanded_as_systemd_does() -> None:
    words = ["$WORDS", "a${ONE}b", "$$HOME", "${GONE}", "$GONE"]
    assert expand(words, {"WORDS": "x y", "ONE": "1"}) == ["x", "y", "a1b", "$HOME", ""]


def test_an_environment_file() -> None:
    text = "# no\n; no\nA=1\nB=\"two words\"\nC='$x'\nD=a=b\n\nbroken line\n1X=no\nE=  spaced  \n"
    assert parse_environment_file(text) == {"A": "1", "B": "two words", "C": "$x", "D": "a=b", "E": "spaced"}


@given(st.text(st.characters(min_codepoint=32, exclude_characters="\\'\x7f\x85\u2028\u2029"), max_size=50))
def test_a_quoted_value_arrives_unchanged(value: str) -> None:
    assert parse_environment_file(f"A='{value}'\n") == {"A": value}
