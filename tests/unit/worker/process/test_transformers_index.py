from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# As much of transformers as its index is about: the same modules by the same names.
IMPORT_UTILS = """
from pathlib import Path

def define_import_structure(module_path, prefix=None):
    (Path(__file__).parents[2] / "looked").open("a").write(f"{Path(module_path).name}\\n")
    found = {frozenset(): {"clip": {"CLIPModel", "CLIPConfig"}}, frozenset({"torch"}): {"t5": {"T5Model"}}}
    if prefix is None:
        return found
    return {needs: {f"{prefix}.{m}": names for m, names in modules.items()} for needs, modules in found.items()}
"""
PACKAGE = """
from pathlib import Path
__version__ = "5.0.0"
from .utils.import_utils import define_import_structure
structure = define_import_structure(Path(__file__).parent / "models", prefix="models")
"""
MODELS = """
from ..utils.import_utils import define_import_structure
structure = define_import_structure(__file__)
"""
SHOW = """
from userdata.worker.process.transformers_index import remember_index
with remember_index():
    import transformers.models
for found in (transformers.structure, transformers.models.structure):
    print({", ".join(sorted(needs)): {m: sorted(names) for m, names in ms.items()} for needs, ms in found.items()})
"""


class Transformers:
    """A package `transformers` in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "transformers"
        for name, content in (
            ("__init__.py", PACKAGE),
            ("utils/__init__.py", ""),
            ("utils/import_utils.py", IMPORT_UTILS),
            ("models/__init__.py", MODELS),
        ):
            (self.package / name).parent.mkdir(parents=True, exist_ok=True)
            (self.package / name).write_text(content)

    def run(self, code: str = SHOW) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": f"{self.folder}:{Path.cwd()}", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def looked_through(self) -> list[str]:
        """What transformers has read for itself since it was last asked."""
        looked = self.folder / "looked"
        names = looked.read_text().split() if looked.exists() else []
        looked.unlink(missing_ok=True)
        return names

    @property
    def index(self) -> list[Path]:
        return sorted((self.package / "__pycache__").glob("structure-*.json"))


@pytest.fixture
def transformers(tmp_path: Path) -> Iterator[Transformers]:
    yield Transformers(tmp_path)


def test_the_second_time_nothing_is_looked_through(transformers: Transformers) -> None:
    found = transformers.run()
    assert "models.clip" in found
    assert transformers.looked_through() == ["models", "__init__.py"]
    assert transformers.run() == found
    assert transformers.looked_through() == []


def test_another_version_is_looked_through(transformers: Transformers) -> None:
    transformers.run()
    file = transformers.package / "__init__.py"
    file.write_text(PACKAGE.replace("5.0.0", "5.0.1"))
    utils = transformers.package / "utils/import_utils.py"
    utils.write_text(IMPORT_UTILS.replace("T5Model", "T6Model"))
    assert "T6Model" in transformers.run()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b'{"needs": []}', b'[{"needs": [], "modules": 3}]'])
def test_a_broken_index_is_written_anew(transformers: Transformers, content: bytes) -> None:
    found = transformers.run()
    for file in transformers.index:
        file.write_bytes(content)
    transformers.looked_through()
    assert transformers.run() == found
    assert len(transformers.looked_through()) == 2
    transformers.run()
    assert transformers.looked_through() == []


def test_where_nothing_can_be_written_it_is_looked_through_each_time(transformers: Transformers) -> None:
    (transformers.package / "__pycache__").write_text("in the way of the folder")
    assert transformers.run() == transformers.run()
    assert len(transformers.looked_through()) == 4


def test_a_package_without_such_a_structure_is_imported_as_ever(transformers: Transformers) -> None:
    (transformers.package / "utils/import_utils.py").write_text("def is_torch_available(): return True\n")
    (transformers.package / "__init__.py").write_text("from .utils.import_utils import is_torch_available\n")
    (transformers.package / "models/__init__.py").write_text("")
    transformers.run(SHOW.partition("for found")[0])
    assert transformers.index == []


def test_the_real_one_consists_of_the_same_with_its_index_as_without(tmp_path: Path) -> None:
    """Each in a process of its own, and the index where another test cannot meet it half written."""
    code = """
import sys
from pathlib import Path
from userdata.worker.process import transformers_index
transformers_index._folder = lambda package: Path(sys.argv[1])
if len(sys.argv) > 2:
    with transformers_index.remember_index():
        import transformers
else:
    import transformers
import transformers.models
for module in (transformers, transformers.models):
    print(sorted(module._class_to_module.items()))
    print(sorted((name, sorted(of)) for name, of in module._import_structure.items()))
"""
    runs = [
        subprocess.run([sys.executable, "-c", code, str(tmp_path), *more], capture_output=True, text=True, timeout=120)
        for more in ([], ["write"], ["read"])
    ]
    assert [run.returncode for run in runs] == [0, 0, 0], runs
    assert len(list(tmp_path.iterdir())) == 2
    assert runs[0].stdout == runs[1].stdout == runs[2].stdout
    assert "CLIPTextModel" in runs[0].stdout
