from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from tests.unit.boot.given_machine import given_machine
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.companions import provide_embeddings, provide_loras, provide_vae
from userdata.boot.steps.downloads import Downloads


class Fetched:
    """Takes the place of the downloads, and keeps what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Path]] = []

    def own(self, reference: str, folder: Path) -> Path:
        self.asked.append((reference, folder))
        return folder / reference.rsplit("/", 1)[1]


def provided(tmp_path: Path, lora: dict[str, str]) -> tuple[list[str], Fetched]:
    fetched = Fetched()
    machine = given_machine(tmp_path, parameters={"ResultsBucket": "results", **lora})
    return [str(path) for path in provide_loras(machine, cast(Downloads, fetched)) or []], fetched


@pytest.mark.parametrize("lora", [{}, {"Lora": ""}])
def test_without_a_list_nothing_is_fetched(tmp_path: Path, lora: dict[str, str]) -> None:
    paths, fetched = provided(tmp_path, lora)
    assert (paths, fetched.asked) == ([], [])


def test_each_file_of_the_list_is_fetched_into_a_folder_of_its_own(tmp_path: Path) -> None:
    paths, fetched = provided(
        tmp_path, {"Lora": "inputs/a.safetensors:0.5, hf:o/n/b.safetensors,s3://buc/a2.safetensors"}
    )
    assert [reference for reference, _ in fetched.asked] == [
        "s3://results/inputs/a.safetensors",
        "hf:o/n/b.safetensors",
        "s3://buc/a2.safetensors",
    ]
    assert len({folder for _, folder in fetched.asked}) == 3
    assert [Path(path).name for path in paths] == ["a.safetensors", "b.safetensors", "a2.safetensors"]


def test_two_files_of_one_name_are_told(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="two files with the name a"):
        provided(tmp_path, {"Lora": "inputs/a.safetensors,s3://buc/a.safetensors"})


def test_a_vae_and_embeddings_are_fetched_into_folders_of_their_own(tmp_path: Path) -> None:
    fetched = Fetched()
    named = {"Vae": "inputs/vae.pt", "Embeddings": "inputs/a.pt,hf:o/n/b.bin"}
    machine = given_machine(tmp_path, parameters={"ResultsBucket": "results", **named})
    vae = provide_vae(machine, cast(Downloads, fetched))
    embeddings = provide_embeddings(machine, cast(Downloads, fetched))
    assert [reference for reference, _ in fetched.asked] == [
        "s3://results/inputs/vae.pt",
        "s3://results/inputs/a.pt",
        "hf:o/n/b.bin",
    ]
    assert len({folder for _, folder in fetched.asked}) == 3
    assert [path.name for path in (vae, *(embeddings or ())) if path] == ["vae.pt", "a.pt", "b.bin"]


def test_without_a_vae_and_embeddings_nothing_is_fetched(tmp_path: Path) -> None:
    fetched = Fetched()
    machine = given_machine(tmp_path, parameters={"ResultsBucket": "results"})
    assert provide_vae(machine, cast(Downloads, fetched)) is None
    assert provide_embeddings(machine, cast(Downloads, fetched)) is None
    assert fetched.asked == []
