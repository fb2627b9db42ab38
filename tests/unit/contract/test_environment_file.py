"""The files of variables: what the boot writes, systemd, a shell and the worker read alike."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from userdata.contract.environment_file import environment_text, read_environment_file

one_line = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"))


@given(one_line)
def test_any_value_on_one_line_is_read_back_as_a_shell_reads_it(value: str) -> None:
    # systemd reads double quotes in such a file as a POSIX shell does, but for expansion, which the escapes prevent.
    text = environment_text({"SD_NAME": value})
    assert text.endswith("\n") and "\n" not in text[:-1]
    read = subprocess.run(["bash", "-c", text + 'printf %s "$SD_NAME"'], capture_output=True, check=True)
    assert read.stdout.decode() == value


@given(st.dictionaries(st.sampled_from(["SD_BUCKET", "SD_DEVICE", "X"]), one_line))
def test_any_values_are_read_back_by_the_worker(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]
) -> None:
    file = tmp_path_factory.mktemp("environment") / "model.env"
    file.write_bytes(environment_text(values).encode())
    assert read_environment_file(file) == values


def test_plain_values_stay_plain() -> None:
    text = environment_text({"SD_PYTHON": "/opt/sd-on-ec2/conda/envs/ldm/bin/python", "URL": "http://127.0.0.1:5000"})
    assert text == "SD_PYTHON=/opt/sd-on-ec2/conda/envs/ldm/bin/python\nURL=http://127.0.0.1:5000\n"


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
def test_a_value_that_systemd_cannot_read_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="NAME has a line break"):
        environment_text({"NAME": value})


def test_a_file_that_is_not_there_has_no_variables(tmp_path: Path) -> None:
    assert read_environment_file(tmp_path / "none") == {}
