from __future__ import annotations

from datetime import datetime

import pytest

from scripts.local.machines.shutdown_command import Request, parse_power_command, parse_shutdown

NOW = datetime(2026, 1, 2, 22, 30, 0)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-P", "now"], Request("power-off", 0)),
        (["-P", "+0"], Request("power-off", 0)),
        (["-P", "+720"], Request("power-off", 43200)),
        (["-h", "now", "bye", "all"], Request("power-off", 0)),
        (["now"], Request("power-off", 0)),
        ([], Request("power-off", 60)),
        (["-r", "now"], Request("reboot", 0)),
        (["-r", "5"], Request("reboot", 300)),
        (["-c"], Request("cancel")),
        (["-P", "23:00"], Request("power-off", 1800)),
        (["-P", "22:00"], Request("power-off", 23.5 * 3600)),
    ],
)
def test_arguments_are_read_as_systemd_reads_them(arguments: list[str], expected: Request) -> None:
    assert parse_shutdown(arguments, NOW) == expected


@pytest.mark.parametrize("arguments", [["-P", "+"], ["soon"], ["-P", "+1.5"], ["-P", "24:00"], ["-Q", "now"], ["+-1"]])
def test_what_is_no_time_is_refused(arguments: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^shutdown: "):
        parse_shutdown(arguments, NOW)


def test_the_other_power_commands() -> None:
    assert parse_power_command("poweroff", ["-f"]) == Request("power-off")
    assert parse_power_command("halt", []) == Request("power-off")
    assert parse_power_command("reboot", []) == Request("reboot")
    with pytest.raises(ValueError, match="poweroff: tomorrow"):
        parse_power_command("poweroff", ["tomorrow"])
