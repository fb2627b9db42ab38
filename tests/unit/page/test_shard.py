from __future__ import annotations

import pytest

from tests.unit.page.records import HOSTILE, records
from userdata.page.script import from_script, to_script
from userdata.page.shard import MOST_IN_SHARD, Shard, make_shards, options_of


def test_what_all_images_share_is_told_once() -> None:
    (shard,) = make_shards(records(3, prompt="a horse", seed=7, init_img="inputs/a.png"))
    assert [image.own for image in shard.images] == [{"Seed": 7}, {"Seed": 8}, {"Seed": 9}]
    assert (shard.common["Prompt"], shard.common["InitImage"], shard.folder) == (
        "a horse",
        "inputs/a.png",
        "img2img-samples",
    )


def test_options_are_those_that_draw_the_image_alone() -> None:
    [record] = records(1, lora="inputs/a.safetensors:0.5", prompt="a horse <lora:a:0.7>", safety_checker="off")
    options = options_of(record)
    assert options["Prompt"] == "a horse"
    assert options["Lora"] == "inputs/a.safetensors:0.7"
    assert not {"Samples", "SafetyChecker", "NegativePrompt", "Eta"} & options.keys()


def test_a_script_is_ascii_that_ends_no_script_and_comes_back_as_it_was() -> None:
    (shard,) = make_shards(records(2, prompt=HOSTILE))
    script = shard.to_script()
    assert not {b"<", b">", b"&", b"\xe2"} & {script[at : at + 1] for at in range(len(script))}
    assert Shard.from_script(script) == shard
    assert shard.common["Prompt"] == HOSTILE


@pytest.mark.parametrize(
    "content",
    [b"", b"alert(1);add({});\n", b'add({"schema":1});alert(1);\n', b"add({});alert(1)//);\n", b'run({"schema":1});\n'],
)
def test_nothing_but_data_is_read(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Shard.from_script(content)


def test_a_shard_leads_to_no_file_elsewhere() -> None:
    (shard,) = make_shards(records(1))
    told = from_script("add", shard.to_script())
    with pytest.raises(ValueError, match="folder"):
        Shard.from_script(to_script("add", {**told, "folder": "../../secrets"}))


def test_a_run_of_many_images_has_several_shards() -> None:
    [one] = records(1)
    many = [one.model_copy(update={"index": index}) for index in range(MOST_IN_SHARD + 1)]
    assert [len(shard.images) for shard in make_shards(many)] == [MOST_IN_SHARD, 1]
