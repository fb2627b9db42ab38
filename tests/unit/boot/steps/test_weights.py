import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.boot.conftest import BUNDLE
from tests.unit.boot.given_machine import given_machine
from tests.unit.boot.loopback import reply, reply_with_ranges, serving
from userdata.boot.fetch.request import Manner
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.downloads import Downloads
from userdata.boot.steps.weights import provide_weights
from userdata.contract.catalogue import find_model
from userdata.contract.layout import Folders
from userdata.contract.patience import Patience

CONTENT = b"weights" * 1000
ONCE = Manner(patience=Patience(attempts=1), margin_bytes=0)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(str(tmp_path))
    worker = folders.bundle / "userdata/worker/model"
    worker.mkdir(parents=True)
    (worker / "tiny_model.py").write_text(
        "import pathlib, sys\nfolder = pathlib.Path(sys.argv[1])\nfolder.mkdir()\n(folder / 'made').touch()\n"
    )
    return folders


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    entries: dict[str, Any] = json.loads((BUNDLE / "models.json").read_text())
    entries["stable-diffusion-v1-5"]["files"][0].update(bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
    path = tmp_path / "models.json"
    path.write_text(json.dumps(entries))
    return path


def provide(folders: Folders, name: str, catalogue: Path, mirror: str = "") -> Path:
    machine = given_machine(folders.root, {"SD_WEIGHTS_URL": mirror}, {"Model": name})
    downloads = Downloads(machine, manner=ONCE)
    return provide_weights(machine, downloads, python=Path(sys.executable), catalogue=catalogue)


def test_a_mirror_takes_the_place_of_the_hub(folders: Folders, catalogue: Path) -> None:
    with serving(lambda handler: reply_with_ranges(handler, CONTENT)) as server:
        folder = provide(folders, "stable-diffusion-v1-5", catalogue, f"{server.url}/mirror/")
    model = find_model("stable-diffusion-v1-5")
    assert folder == folders.models / "stable-diffusion-v1-5"
    assert (folder / "v1-5-pruned-emaonly.safetensors").read_bytes() == CONTENT
    (path,) = [path for path, _ in server.asked]
    (file,) = model.files
    assert f"https://huggingface.co{path.removeprefix('/mirror')}" == model.url(file)


def test_a_file_that_nobody_states_a_hash_for_is_checked_against_the_hubs_word(
    folders: Folders, catalogue: Path
) -> None:
    entries = json.loads(catalogue.read_text())
    file = entries["stable-diffusion-v1-5"]["files"][0]
    entries["stable-diffusion-v1-5"]["files"][0] = {"path": file["path"], "about_bytes": 7}
    catalogue.write_text(json.dumps(entries))
    told = {"X-Linked-ETag": f'"{hashlib.sha256(CONTENT).hexdigest()}"', "X-Linked-Size": str(len(CONTENT))}

    def hub(handler: Any, content: bytes) -> None:
        if handler.command == "HEAD":
            return reply(handler, 302, headers={**told, "Location": "https://storage.example.org/signed"})
        return reply_with_ranges(handler, content)

    with (
        serving(lambda handler: hub(handler, CONTENT[::-1])) as server,
        pytest.raises(StepError, match="has the SHA-256 .* is pinned, twice"),
    ):
        provide(folders, "stable-diffusion-v1-5", catalogue, server.url)
    with serving(lambda handler: hub(handler, CONTENT)) as server:
        folder = provide(folders, "stable-diffusion-v1-5", catalogue, server.url)
        asked = len(server.asked)
        provide(folders, "stable-diffusion-v1-5", catalogue, server.url)
        assert len(server.asked) == asked  # what is there is not asked for again
    assert (folder / file["path"]).read_bytes() == CONTENT


def test_the_models_own_lora_lies_apart_from_its_checkpoint(folders: Folders, catalogue: Path) -> None:
    entries = json.loads(catalogue.read_text())
    pinned = {"bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
    for file in (entries["sdxl-lightning"]["files"][0], entries["sdxl-lightning"]["loras"][0]):
        file.update(pinned)
    catalogue.write_text(json.dumps(entries))
    with serving(lambda handler: reply_with_ranges(handler, CONTENT)) as server:
        folder = provide(folders, "sdxl-lightning", catalogue, server.url)
    assert sorted(place.name for place in folder.glob("*.safetensors")) == ["sd_xl_base_1.0.safetensors"]
    assert all(place.exists() for place in find_model("sdxl-lightning").lora_places(folder))
    assert [path.split("/resolve/")[0] for path, _ in server.asked] == [
        "/stabilityai/stable-diffusion-xl-base-1.0",
        "/ByteDance/SDXL-Lightning",
    ]


def test_a_gated_model_names_its_own_page(folders: Folders, catalogue: Path) -> None:
    with (
        serving(lambda handler: reply(handler, 401)) as server,
        pytest.raises(
            StepError, match="https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5, acc.*HubToken"
        ),
    ):
        provide(folders, "stable-diffusion-v1-5", catalogue, server.url)


def test_a_model_without_a_source_is_made_once(folders: Folders, catalogue: Path) -> None:
    folder = provide(folders, "tiny", catalogue)
    made = (folder / "made").stat()
    assert provide(folders, "tiny", catalogue) == folder
    assert (folder / "made").stat().st_ino == made.st_ino


def test_half_made_weights_are_made_again(folders: Folders, catalogue: Path) -> None:
    for name in ("tiny", "tiny.part"):
        (folders.models / name).mkdir(parents=True)
        (folders.models / name / "half").touch()
    folder = provide(folders, "tiny", catalogue)
    assert sorted(path.name for path in folder.iterdir()) == [".whole", "made"]
    assert [path.name for path in folders.models.iterdir()] == ["tiny"]


def test_a_changed_recipe_makes_them_again(folders: Folders, catalogue: Path) -> None:
    maker = folders.bundle / "userdata/worker/model/tiny_model.py"
    (provide(folders, "tiny", catalogue) / "of the old recipe").touch()
    maker.write_text(maker.read_text() + "# changed\n")
    assert not (provide(folders, "tiny", catalogue) / "of the old recipe").exists()


def test_weights_that_cannot_be_made_are_told(folders: Folders, catalogue: Path) -> None:
    (folders.bundle / "userdata/worker/model/tiny_model.py").write_text("raise SystemExit('no memory')\n")
    with pytest.raises(StepError, match="tiny could not be made.*no memory"):
        provide(folders, "tiny", catalogue)
    assert not (folders.models / "tiny").exists()


def test_a_bundle_without_the_maker_is_told(folders: Folders, catalogue: Path) -> None:
    shutil.rmtree(folders.bundle / "userdata/worker")
    with pytest.raises(StepError, match="bundle is incomplete"):
        provide(folders, "tiny", catalogue)


def test_an_unknown_model_names_the_known_ones(folders: Folders, catalogue: Path) -> None:
    with pytest.raises(
        StepError, match="Model dall-e is neither in the catalogue nor.*one of stable-diffusion-v1-5, .*tiny"
    ):
        provide(folders, "dall-e", catalogue)
