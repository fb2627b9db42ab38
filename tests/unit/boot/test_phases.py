"""A boot tells how it went, also where that is no use."""

from __future__ import annotations

from pathlib import Path

import pytest

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.machine.step_error import StepError
from userdata.boot.telling.boot_log import BootLog
from userdata.boot.telling.facts import Facts
from userdata.boot.telling.phases import Phases
from userdata.contract.layout import Folders
from userdata.contract.patience import Patience


@pytest.mark.usefixtures("bucket_name")
def test_a_bucket_that_takes_nothing_is_waited_for_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    naps: list[float] = []
    phases = Phases(Folders(str(tmp_path)), BootLog(), Facts(tmp_path / "machine.env", first=(), later=()))
    phases.bucket = Bucket("there-is-no-such-bucket", patience=Patience(attempts=2, sleep=naps.append))
    phases.fail(StepError("there is no driver"))
    told = [record.getMessage().partition(" was not uploaded")[0] for record in caplog.records[1:]]
    assert [one for one in told if one.startswith("the ")] == [
        "the record of this boot",
        "the log",
        "the facts of this machine",
    ]
    assert naps == [1]
