import json
from pathlib import Path

import pytest

from userdata.worker.process.compiled_kernels import begin_with


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """One kernel as Triton keeps it, from a machine whose folder was another."""
    kernel = tmp_path / "before" / "HASH"
    kernel.mkdir(parents=True)
    (kernel / "fused.cubin").write_bytes(b"cubin")
    group = {"child_paths": {"fused.cubin": "/another/machine/HASH/fused.cubin"}}
    (kernel / "__grp__fused.json").write_text(json.dumps(group))
    return kernel.parent


def test_triton_finds_the_kernels_of_a_machine_with_another_folder(before: Path, tmp_path: Path) -> None:
    begin_with(before, tmp_path / "compiled")
    group = json.loads((tmp_path / "compiled/HASH/__grp__fused.json").read_text())
    assert Path(group["child_paths"]["fused.cubin"]).read_bytes() == b"cubin"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"child_paths": []}', '{"child_paths": null}', "\x00"])
def test_a_group_of_another_form_is_left_to_triton(before: Path, tmp_path: Path, text: str) -> None:
    (before / "HASH/__grp__fused.json").write_text(text)
    begin_with(before, tmp_path / "compiled")
    assert (tmp_path / "compiled/HASH/__grp__fused.json").read_text() == text
