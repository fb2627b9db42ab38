"""The list of models: each with a machine that draws it, a price that says what it is, and no line too long."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from scripts.command_line.cost.models_listed import list_models
from scripts.command_line.main import app
from stacks.facts.model_refusal import refusal
from userdata.contract.catalogue import read_catalogue


def printed(*words: str, columns: int = 80) -> str:
    result = CliRunner().invoke(app, ["models", *words], env={"COLUMNS": str(columns)})
    assert result.exit_code == 0, result.output
    return result.output


def test_every_model_has_a_machine_that_draws_it() -> None:
    listed = list_models()
    assert [one.name for one in listed] == list(read_catalogue())
    for one in listed:
        assert refusal(one.model, instance_type=one.smallest.name, volume_size=one.disk_gib) is None
        assert (one.usd is None) == one.model.is_noise
        assert one.basis.startswith("none" if one.model.is_noise else "projected")
    smallest = {one.name: one.smallest.name for one in listed}
    assert smallest["sdxl-lightning"] == "g4dn.xlarge"
    assert smallest["flux2-klein"] == smallest["z-image"] == "g6.xlarge"
    assert smallest["flux-schnell"] == smallest["chroma"] == "g6.xlarge", "in int8"


def test_the_table_has_80_columns_and_names_what_asks_for_a_word() -> None:
    lines = printed().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("flux2-klein ") and line.endswith(" g6.xlarge     0.82") for line in lines)
    assert any(line.startswith("flux-schnell + ") and " g6.xlarge int8  " in line for line in lines)
    assert any(line.startswith("sdxl-turbo * ") for line in lines)
    assert any(line.startswith("flux-schnell + ") for line in lines)
    words = " ".join(line.strip() for line in lines)
    assert "Dollars are projections" in words
    assert "flux-schnell in int8, on g6e.xlarge without; chroma in int8, on g6e.xlarge without." in words
    assert "`sd deploy --accept-licence sdxl-turbo`" in words


@pytest.mark.parametrize("columns", [40, 60])
def test_no_figure_is_cut_off_where_the_terminal_is_narrow(columns: int) -> None:
    rows = {line.split()[0]: line for line in printed(columns=columns).splitlines() if line}
    assert max(map(len, rows.values())) <= max(columns, 58)
    for one in list_models():
        assert rows[one.name].endswith("-" if one.usd is None else f" {one.usd:.2f}")
        assert one.smallest.name in rows[one.name]


def test_the_json_says_what_each_model_takes() -> None:
    document: dict[str, Any] = json.loads(printed("--json"))
    assert (document["schema"], document["region"]) == (1, "us-east-1")
    flux = next(one for one in document["models"] if one["name"] == "flux-schnell")
    assert (flux["quantize"], flux["gpu_memory_gib_quantized"]["int8"]) == ("int8", 20.9)
    klein = next(one for one in document["models"] if one["name"] == "flux2-klein")
    assert klein["number_type"] == "bfloat16"
    assert (klein["negative_prompt"], klein["image_to_image"], klein["samplers"]) == (False, False, ["euler"])
    assert klein["usd_per_1000_images"] == pytest.approx(
        1000 * klein["seconds_per_image"] / 3600 * klein["usd_per_hour"], rel=0.05
    )
    elsewhere = json.loads(printed("--json", "--region", "no-such-region-1"))["models"]
    assert {one["usd_per_1000_images"] for one in elsewhere} == {None}, "no price is made up"
