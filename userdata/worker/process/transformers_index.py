"""Keeps an index of transformers' modules: without one, transformers reads 2,500 of its files, twice, in every process.

The index lies in transformers' own `__pycache__`, like Python's bytecode. A process that may not write there does
without.

Measured (docs/performance.md): with this index and unused_libraries.py the imports of a short job took 1.6 s in place
of 3.0 s on two cores. This rests on `define_import_structure`, an inner function of transformers. At an upgrade of
transformers run tests/unit/worker/process/test_transformers_index.py: where a test fails and the mend is not plain,
strike this module, its line in imports_ahead.py, and its name in userdata/boot/steps/bytecode.py. The worker then
starts later by a part of these seconds, and everything else stays as it is.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from userdata.contract.atomic_file import write_atomically

# Where transformers looks itself through.
MODULE = "transformers.utils.import_utils"

# The names that each module defines, by the libraries that they need.
Structure = dict[frozenset[str], dict[str, set[str]]]
Define = Callable[..., Structure]


@contextmanager
def remember_index() -> Iterator[None]:
    """transformers, if it is imported while this is open, reads its index, or writes the index where there is none."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def write_index() -> None:
    """Makes transformers write its index, if there is none. Raises `ImportError` where there is no transformers."""
    spec = importlib.util.find_spec("transformers")
    if not spec or not spec.origin:
        raise ImportError("there is no transformers")
    if any(_folder(Path(spec.origin).parent).glob(_file_name("*", importlib.metadata.version("transformers")))):
        return
    with remember_index():
        import transformers.models  # noqa: F401


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != MODULE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        # Before `transformers/__init__.py` goes on, which takes it from here.
        define: Define | None = getattr(module, "define_import_structure", None)
        version = getattr(sys.modules["transformers"], "__version__", None)
        if define and version:
            vars(module)["define_import_structure"] = _remembering(define, Path(self.path).parent.parent, version)


def _remembering(define: Define, package: Path, version: str) -> Define:
    models = package / "models"

    def define_import_structure(module_path: Any, prefix: str | None = None) -> Structure:
        # Of the models' own folders each is small, and read only when it is imported.
        if Path(module_path) not in (models, models / "__init__.py"):
            return define(module_path, prefix=prefix)
        file = _folder(package) / _file_name(prefix or "package", version)
        structure = _read(file)
        if structure is None:
            structure = define(module_path, prefix=prefix)
            _write(file, structure)
        return structure

    return define_import_structure


def _folder(package: Path) -> Path:
    return package / "__pycache__"


def _file_name(part: str, version: str) -> str:
    return f"structure-of-{part}-{version}.json"


def _read(file: Path) -> Structure | None:
    try:
        document = json.loads(file.read_bytes())
        return {
            frozenset(part["needs"]): {module: set(names) for module, names in part["modules"].items()}
            for part in document
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _write(file: Path, structure: Structure) -> None:
    document = [
        {"needs": sorted(needs), "modules": {module: sorted(names) for module, names in modules.items()}}
        for needs, modules in structure.items()
    ]
    with contextlib.suppress(OSError):
        write_atomically(file, json.dumps(document).encode())


if __name__ == "__main__":
    write_index()
