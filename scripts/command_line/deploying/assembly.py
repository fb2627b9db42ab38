"""The synthesized app, kept until something that it follows from changes.

Synthesis takes longer than everything else in a deploy that only asks for other images, and its result is then the
same: what is asked for are the template's parameters.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[3]
PLACE = ROOT / ".cache/assemblies"
# Everything that the app reads. A folder stands for all files in it, but for what Python compiles.
SOURCES = (
    "app.py",
    "cdk.json",
    "cdk.context.json",
    "package-lock.json",
    "requirements.txt",
    "stacks",
    "userdata",
)
KEPT = 4


@contextlib.contextmanager
def assembly_options(context: Mapping[str, str], *, root: Path = ROOT, place: Path = PLACE) -> Iterator[list[str]]:
    """The CDK CLI's options for the app with these context values: the kept assembly, or to make and keep one.

    It is kept when the block ends without an exception. Two commands at once do not meet: each makes its own.
    """
    kept = place / _key(root, context)
    if (kept / "manifest.json").exists():
        os.utime(kept)
        yield ["--app", str(kept)]
        return
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
    if not os.access(place, os.W_OK):  # another user's checkout
        with tempfile.TemporaryDirectory(prefix="sd-cdk-out-") as folder:
            yield _synthesizing(Path(folder) / "cdk.out", context)
        return
    with tempfile.TemporaryDirectory(dir=place, prefix="new-") as folder:
        new = Path(folder) / "cdk.out"
        yield _synthesizing(new, context)
        with contextlib.suppress(OSError):  # another command was faster
            new.rename(kept)
    _forget_old(place)


def _synthesizing(folder: Path, context: Mapping[str, str]) -> list[str]:
    return ["--output", str(folder), *(word for item in context.items() for word in ("--context", "=".join(item)))]


def _key(root: Path, context: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps([sys.version, dict(context)], sort_keys=True).encode())
    for file in _files(root):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root)}\0{file.stat().st_mode}\0{len(content)}\0".encode())
        digest.update(content)
    # The CLI adds this to the app's context.
    with contextlib.suppress(OSError):
        digest.update((Path.home() / ".cdk.json").read_bytes())
    return digest.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    for name in SOURCES:
        source = root / name
        for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if file.is_file() and file.suffix != ".pyc":
                yield file


def _forget_old(place: Path) -> None:
    kept = [folder for folder in place.iterdir() if not folder.name.startswith("new-")]
    for folder in sorted(kept, key=lambda one: one.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(folder, ignore_errors=True)
