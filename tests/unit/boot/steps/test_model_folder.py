from pathlib import Path

import pytest

from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.model_folder import complete_model_folder
from userdata.contract.bundle import BUNDLE, Bundle


@pytest.mark.parametrize("content", [b"<!doctype html>", (2).to_bytes(8, "little") + b"[]", b""])
def test_a_part_that_is_no_safetensors_file_is_told(tmp_path: Path, content: bytes) -> None:
    part = tmp_path / "transformer/model-00001-of-00002.safetensors"
    part.parent.mkdir()
    part.write_bytes(content)
    with pytest.raises(StepError, match=f"{part} is no safetensors file .* Choose another Model"):
        complete_model_folder(tmp_path, BUNDLE, "flux-schnell")


def test_a_bundle_without_the_layout_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="The bundle is incomplete"):
        complete_model_folder(tmp_path, Bundle(tmp_path / "none"), "flux-schnell")
