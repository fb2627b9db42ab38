"""What comes from outside is read in one way: whoever reads it by hand meets each of its oddities anew."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Rooms that meet what others have written: objects of the bucket, servers, files of people.
ROOMS = ("userdata", "scripts/command_line", "scripts/studio", "scripts/proof")
# Call, and where it may stand, because there nobody but this project or this machine's root has written what is read.
HOMES = {
    "json.loads": {
        "userdata/contract/outside.py",  # the reader itself
        "userdata/contract/catalogue.py",  # the bundle's own
        "userdata/worker/model/single_file.py",
        "userdata/worker/model/tiny_model.py",
        "userdata/worker/model/empty_model.py",  # pinned by its hash
        "userdata/worker/process/compiled_kernels.py",  # Triton's
        "userdata/worker/process/transformers_index.py",  # pip's, of this environment
        "scripts/command_line/terminal/written_context.py",  # the person's own cdk.json
        "scripts/command_line/report/this_machine.py",  # npm's
        "scripts/command_line/account/deployment.py",  # what the stack itself has put out
        "scripts/command_line/account/price_list.py",  # AWS's
        "scripts/command_line/before/companion_checks.py",  # the bundle's own
        "userdata/boot/fetch/cache.py",  # the boot's own notes
        "scripts/command_line/batching/rows.py",  # the reader of people's rows, which looks at pairs
        "scripts/command_line/batching/spool.py",  # what the same command has just written
        "scripts/studio/assembly.py",  # the CDK's
        "scripts/studio/local_stack.py",  # what the local cloud, its child, says
    },
    "json.load": {"userdata/boot/provide.py"},  # the worker's, by a pipe
    "datetime.fromisoformat": {
        "userdata/contract/outside.py",
        "scripts/command_line/batching/when.py",  # what a person types, who may leave the zone out
    },
    "Image.open": {"userdata/job/picture_file.py"},  # the reader itself
    # pydantic's own reader, which bounds the depth and no size, and takes NaN: what is not from outside may use it.
    "model_validate_json": {"userdata/bill/prices.py"},  # the bundle's own
    "validate_json": {"userdata/worker/loaded/answering.py"},  # what the worker says, who may say much
    # A header of safetensors and its metadata have one reader too; the library's gives the tensors.
    "safe_open": {"userdata/worker/model/lora_file.py", "userdata/worker/model/quantized.py"},
    "torch.load": {"userdata/worker/model/pickle_file.py"},  # the reader of pickles
}


LAST_NAMES = {name.rpartition(".")[2] for name in HOMES}


@functools.cache
def calls() -> list[tuple[str, str, int]]:
    return list(_calls())


def _calls() -> Iterator[tuple[str, str, int]]:
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                where = str(file.relative_to(ROOT)), getattr(node, "lineno", 0)
                if isinstance(node, ast.Call) and _last_name(node.func) in LAST_NAMES:
                    called = "." + ast.unparse(node.func)
                    yield from ((name, *where) for name in HOMES if called.endswith("." + name))
                elif isinstance(node, ast.ImportFrom) and node.module in ("json", "PIL.Image", "torch.serialization"):
                    yield f"from {node.module} import", *where  # by which a call would have another name


def _last_name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


def test_what_comes_from_outside_is_read_by_its_reader() -> None:
    strangers = [f"{file}:{line} {name}" for name, file, line in calls() if file not in HOMES.get(name, ())]
    assert strangers == [], "Use userdata/contract/outside.py, or say here who alone has written what is read."


@pytest.mark.parametrize("name", HOMES)
def test_no_exception_outlives_its_reason(name: str) -> None:
    assert {file for called, file, _ in calls() if called == name} == HOMES[name]
