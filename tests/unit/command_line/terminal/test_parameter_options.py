from __future__ import annotations

from collections.abc import Mapping

import pytest
import typer
from typer.testing import CliRunner

from scripts.command_line.terminal.parameter_options import with_parameter_options


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        (["--watermark", "on"], {"Watermark": "on"}),
        (["--cache", "off"], {"Cache": "off"}),
        # Flags, as in the original scripts; the prompt behind one is not its value.
        (["--skip_grid", "a horse"], {"SkipGrid": "on", "Prompt": "a horse"}),
        (["--no-skip-grid"], {"SkipGrid": "off"}),
        (["--fixed-code"], {"FixedCode": "on"}),
    ],
)
def test_a_switch_is_a_flag_where_the_original_scripts_have_one(words: list[str], parameters: dict[str, str]) -> None:
    heard: list[Mapping[str, str]] = []

    def draw(parameters: Mapping[str, str]) -> None:
        heard.append(parameters)

    app = typer.Typer()
    app.command()(with_parameter_options(draw))
    assert CliRunner().invoke(app, words).exit_code == 0
    assert heard == [parameters]
