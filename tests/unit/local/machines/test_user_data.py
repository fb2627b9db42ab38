from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.local.machines.user_data import Runs, Script, scripts_in

HEADER = b"MIME-Version: 1.0\nContent-Type: text/x-shellscript-per-boot\n\n"


def test_a_per_boot_body_runs_at_every_boot() -> None:
    assert scripts_in(HEADER + b"#!/bin/bash\necho one\n") == [Script(Runs.EVERY_BOOT, b"#!/bin/bash\necho one\n")]


def test_a_bare_script_runs_once() -> None:
    assert scripts_in(b"#!/bin/sh\ntrue\n") == [Script(Runs.ONCE, b"#!/bin/sh\ntrue\n")]


def test_one_character_outside_ascii_and_nothing_runs(caplog: pytest.LogCaptureFixture) -> None:
    assert scripts_in(HEADER + "#!/bin/bash\necho é\n".encode()) == []
    assert "outside ASCII" in caplog.text


@pytest.mark.parametrize("text", [b"", b"#cloud-config\npackages: []\n", b"hello", b"Subject: no\n\n#!/bin/bash\n"])
def test_what_cloud_init_would_not_run_is_not_run(text: bytes) -> None:
    assert scripts_in(text) == []


def test_other_parts_of_a_multipart_message_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    message = (
        b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="x"\n\n'
        b"--x\nContent-Type: text/cloud-config\n\na: b\n"
        b"--x\nContent-Type: text/x-shellscript\nContent-Transfer-Encoding: base64\n\n"
        + base64.b64encode("#!/bin/bash\necho é\n".encode())
        + b"\n--x--\n"
    )
    assert scripts_in(message) == [Script(Runs.ONCE, "#!/bin/bash\necho é\n".encode())]
    assert "text/cloud-config" in caplog.text


@given(st.text(st.characters(codec="ascii", exclude_characters="\r"), max_size=2000))
def test_the_body_arrives_byte_for_byte(text: str) -> None:
    script = b"#!/bin/bash\n" + text.encode()
    assert [one.text for one in scripts_in(HEADER + script)] == [script]
