from __future__ import annotations

import pytest

from userdata.contract.lora_list import LONGEST_LORAS, MOST_LORAS, listed_loras, lora_text
from userdata.job.job import Job

HUB = "hf:owner/name@v1.0/style.safetensors"


@pytest.mark.parametrize(
    ("loras", "listed"),
    [
        ("", []),
        ("inputs/style.safetensors", [("style", "inputs/style.safetensors", 1.0)]),
        ("inputs/style.safetensors:0.8", [("style", "inputs/style.safetensors", 0.8)]),
        ("inputs/my-style-0123abcd.safetensors:0", [("my-style", "inputs/my-style-0123abcd.safetensors", 0.0)]),
        (
            "s3://bucket/style-0123abcd.safetensors:-1",
            [("style-0123abcd", "s3://bucket/style-0123abcd.safetensors", -1)],
        ),
        (HUB, [("style", HUB, 1.0)]),
        (
            f"{HUB}:0.5, s3://bucket/v1.5.safetensors",
            [("style", HUB, 0.5), ("v1.5", "s3://bucket/v1.5.safetensors", 1)],
        ),
    ],
)
def test_a_list_has_names_places_and_weights(loras: str, listed: list[tuple[str, str, float]]) -> None:
    assert listed_loras(loras) == listed
    assert Job(lora=loras).lora == loras


@pytest.mark.parametrize(("weight", "text"), [(1.0, ""), (0.8, ":0.8"), (-0.125, ":-0.125"), (2.0, ":2"), (0.0, ":0")])
def test_what_is_listed_can_be_written_again(weight: float, text: str) -> None:
    assert lora_text("inputs/a.safetensors", weight) == f"inputs/a.safetensors{text}"
    assert listed_loras(lora_text("inputs/a.safetensors", weight)) == [("a", "inputs/a.safetensors", weight)]


@pytest.mark.parametrize("other", ["inputs/style-0123abcd.safetensors", "s3://bucket/deep/style.safetensors:0.3"])
def test_two_files_of_one_name_are_refused(other: str) -> None:
    with pytest.raises(ValueError, match="Lora lists two files with the name style: rename one"):
        listed_loras(f"{HUB},{other}")
    with pytest.raises(ValueError, match="two files with the name style"):
        Job(lora=f"{HUB},{other}")


@pytest.mark.parametrize(
    "loras",
    [
        "inputs/a.safetensors,",
        ",inputs/a.safetensors",
        "inputs/a.safetensors,,inputs/b.safetensors",
        "inputs/a.safetensors inputs/b.safetensors",
        "inputs/a.safetensors ,inputs/b.safetensors",
        "inputs/a.safetensors,my file.safetensors",
        ",".join(f"inputs/{number}.safetensors" for number in range(MOST_LORAS + 1)),
        ",".join(f"inputs/{letter * (LONGEST_LORAS // 3)}.safetensors" for letter in "abc"),
    ],
)
def test_what_is_no_list_is_refused(loras: str) -> None:
    with pytest.raises(ValueError, match=f"should match pattern|at most {LONGEST_LORAS} characters"):
        Job(lora=loras)
