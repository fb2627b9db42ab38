"""What TAB answers, without a question to AWS."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.command_line import main
from scripts.command_line.terminal.known_runs import remember


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("boto3.Session", lambda **_: pytest.fail("TAB asks AWS"))


def completed(words: str, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What bash offers for the last of the words, a space behind it for a new one."""
    patch.setenv("_SD_COMPLETE", "complete_bash")
    patch.setenv("COMP_WORDS", words)
    patch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    patch.setattr("sys.argv", ["sd"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert not ended.value.code
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("sd ge", ["generate"]),
        ("sd generate --sampler dpm_s", ["dpm_solver"]),
        ("sd deploy --model sdxl", ["sdxl-base", "sdxl-turbo", "sdxl-lightning"]),
        ("sd deploy --instance-type g6.x", ["g6.xlarge"]),
        ("sd zones g4dn.x", ["g4dn.xlarge"]),
        ("sd quota st", ["status"]),
    ],
)
def test_names_and_values_are_offered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, offered: list[str]
) -> None:
    found = completed(words, monkeypatch, capsys)
    assert {*offered} <= {*found}
    assert all(one.startswith(words.split(" ")[-1]) for one in found)


def test_runs_of_the_last_listing_and_those_that_are_here_are_offered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert completed("sd watch ", monkeypatch, capsys) == []
    remember(["cats-0123456789", "dogs-0123456789", "$(reboot)", "a;reboot", "--yes", "*"])
    Path("results/cows-0123456789").mkdir(parents=True)
    Path("results/a\x1b[31m").mkdir()
    offered = ["dogs-0123456789", "cats-0123456789", "cows-0123456789"]
    assert completed("sd watch ", monkeypatch, capsys) == offered
    assert completed("sd results ca", monkeypatch, capsys) == ["cats-0123456789"]


def test_each_shell_has_a_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh", "fish"):
        monkeypatch.setattr("shellingham.detect_shell", lambda shell=shell: (shell, f"/bin/{shell}"))
        monkeypatch.setattr("sys.argv", ["sd", "--show-completion"])
        with pytest.raises(SystemExit):
            main.main()
        assert f"complete_{shell}" in capsys.readouterr().out
