"""The one document between boot and worker: everything that one side writes, the other side reads."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from userdata.contract.environment_file import read_environment_file
from userdata.contract.worker_environment import ModelEnvironment, Paths, Variables, WorkerEnvironment
from userdata.worker.process.settings import Settings

WORKER = WorkerEnvironment(
    python=Path("/opt/python"),
    device="cpu",
    bucket="results",
    instance_id="i-0123456789abcdef0",
    instance_type="g5.xlarge",
    life_cycle="spot",
    region="us-east-1",
    boot_started_at=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
)
MODEL = ModelEnvironment(
    model_folder=Path("/opt/models/a b"),
    lora_files=Paths([Path("/opt/models/a.safetensors"), Path("/opt/models/b.safetensors")]),
    vae_file=Path("/opt/models/vae.pt"),
    embedding_files=Paths([Path("/opt/models/a.pt")]),
    safety_checker=Path("/opt/models/checker"),
    compiled=Path("/var/lib/compiled"),
    compvis_repository=Path("/opt/compvis"),
    compvis_python=Path("/opt/compvis/python"),
)


def written(document: Variables, folder: Path, others: dict[str, str] | None = None) -> dict[str, str]:
    file = folder / "file.env"
    file.write_text(document.to_text(others))
    return read_environment_file(file)


@pytest.mark.parametrize("document", [WORKER, MODEL])
def test_a_document_is_read_as_it_was_written(document: Variables, tmp_path: Path) -> None:
    assert type(document).read(written(document, tmp_path)) == document


def test_the_worker_reads_every_variable_that_the_boot_writes_and_misses_none_but_systemds(tmp_path: Path) -> None:
    boots = written(WORKER, tmp_path) | written(MODEL, tmp_path)
    assert {variable.name for variable in Settings.fields().values()} == {*boots, "STATE_DIRECTORY"}
    settings = Settings.read({**boots, "STATE_DIRECTORY": "/var/lib/sd-worker"})
    for document in (WORKER, MODEL):
        assert all(getattr(settings, field.name) == getattr(document, field.name) for field in fields(document))


def test_the_names_are_those_that_machines_and_people_know() -> None:
    assert {variable.name for variable in Settings.fields().values()} == {
        "AWS_DEFAULT_REGION",
        "SD_BOOT_STARTED_AT",
        "SD_BUCKET",
        "SD_COMPILED",
        "SD_COMPVIS_PYTHON",
        "SD_COMPVIS_REPOSITORY",
        "SD_DEVICE",
        "SD_EMBEDDING_FILES",
        "SD_INSTANCE_ID",
        "SD_INSTANCE_TYPE",
        "SD_LIFE_CYCLE",
        "SD_LORA_FILES",
        "SD_MODEL_FOLDER",
        "SD_PYTHON",
        "SD_SAFETY_CHECKER",
        "SD_VAE_FILE",
        "STATE_DIRECTORY",
    }


def test_the_images_settings_pass_through_and_do_not_hide_the_boots_own(tmp_path: Path) -> None:
    others = {"AWS_ENDPOINT_URL": "http://127.0.0.1:5000", "SD_BUCKET": "another"}
    found = written(WORKER, tmp_path, others)
    assert (found["AWS_ENDPOINT_URL"], found["SD_BUCKET"]) == ("http://127.0.0.1:5000", "results")


def test_what_is_not_asked_for_is_not_written_and_none_when_it_is_read(tmp_path: Path) -> None:
    model = ModelEnvironment(Path("/opt/models/tiny"))
    assert written(model, tmp_path) == {"SD_MODEL_FOLDER": "/opt/models/tiny"}
    assert ModelEnvironment.read({"SD_MODEL_FOLDER": "/opt/models/tiny", "SD_LORA_FILES": ""}) == model


def test_a_worker_by_hand_is_on_demand_where_nobody_says_otherwise(tmp_path: Path) -> None:
    found = written(WORKER, tmp_path)
    del found["SD_LIFE_CYCLE"]
    assert WorkerEnvironment.read(found).life_cycle == "on-demand"


def test_each_variable_that_is_missing_or_wrong_is_named(tmp_path: Path) -> None:
    wrong = {**written(WORKER, tmp_path), "SD_BUCKET": "", "SD_DEVICE": "tpu", "SD_BOOT_STARTED_AT": "yesterday"}
    with pytest.raises(ValueError) as refused:
        WorkerEnvironment.read(wrong)
    assert str(refused.value) == (
        "SD_DEVICE: must be one of cpu; SD_BUCKET: is missing; "
        "SD_BOOT_STARTED_AT: Invalid isoformat string: 'yesterday'"
    )
