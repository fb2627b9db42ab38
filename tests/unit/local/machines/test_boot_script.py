from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.local.machines.boot_script import script_in

HEADER = b"MIME-Version: 1.0\nContent-Type: text/x-shellscript-per-boot\n\n"


def test_one_character_outside_ascii_and_nothing_runs(caplog: pytest.LogCaptureFixture) -> None:
    assert script_in(HEADER + "#!/bin/bash\necho é\n".encode()) is None
    assert "outside ASCII" in caplog.text


@pytest.mark.parametrize("text", [b"", b"#!/bin/sh\n", b"hello", b"Subject: no\n\n#!/bin/bash\n", HEADER + b"true\n"])
def test_what_is_no_script_for_every_boot_is_not_run(text: bytes) -> None:
    assert script_in(text) is None


@given(st.text(st.characters(codec="ascii", exclude_characters="\r"), max_size=2000))
def test_the_body_arrives_byte_for_byte(text: str) -> None:
    script = b"#!/bin/bash\n" + text.encode()
    assert script_in(HEADER + script) == script
