import pytest

from userdata.boot.after_worker import Ending, ending_of


@pytest.mark.parametrize(
    ("result", "code", "status", "going_down", "ending"),
    [
        ("success", "exited", "0", False, Ending.FINISHED),
        ("success", "exited", "0", True, Ending.FINISHED),
        ("success", "killed", "TERM", False, Ending.STOPPED),
        ("success", "killed", "TERM", True, Ending.STOPPED),
        ("success", "exited", "143", True, Ending.STOPPED),
        ("exit-code", "exited", "1", False, Ending.FAILED),
        ("exit-code", "exited", "1", True, Ending.FAILED),
        ("exit-code", "exited", "203", False, Ending.FAILED),
        ("exit-code", "exited", "143", True, Ending.STOPPED),
        ("signal", "killed", "KILL", False, Ending.FAILED),
        ("core-dump", "dumped", "SEGV", False, Ending.FAILED),
        ("oom-kill", "killed", "KILL", False, Ending.FAILED),
        ("timeout", "killed", "KILL", True, Ending.STOPPED),
        ("timeout", "killed", "KILL", False, Ending.FAILED),
        ("resources", "", "", False, Ending.FAILED),
    ],
)
def test_how_the_worker_ended_follows_from_what_systemd_says(
    result: str, code: str, status: str, going_down: bool, ending: Ending
) -> None:
    variables = {"SERVICE_RESULT": result, "EXIT_CODE": code, "EXIT_STATUS": status}
    assert ending_of(variables, going_down=going_down) is ending


def test_a_start_without_systemd_is_no_success() -> None:
    assert ending_of({}) is Ending.FAILED
