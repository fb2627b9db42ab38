"""The JSON Schemas of what the commands print with `--json`: one file for each document in docs/schemas/."""

from __future__ import annotations

import inspect
import json
import re
import sys
from itertools import chain
from typing import Any

from scripts.command_line.documents import document, machine, money, runs
from scripts.docs.places import ROOT

SCHEMAS = ROOT / "docs/schemas"


def schemas() -> dict[str, str]:
    """The content of each file by its name: `status.json` for `StatusDocument`."""
    members = chain.from_iterable(
        inspect.getmembers(room, inspect.isclass) for room in (document, machine, money, runs)
    )
    kinds = {kind for _name, kind in members if issubclass(kind, document.Document) and kind is not document.Document}
    return {_file_name(kind.__name__): _text(kind) for kind in sorted(kinds, key=lambda kind: kind.__name__)}


def write_schemas(*, check: bool) -> int:
    """Writes the files, and deletes those of no document. With `check` only says which differ.

    Gives the exit status.
    """
    wanted = schemas()
    found = {path.name: path.read_text("utf-8") for path in SCHEMAS.glob("*.json")}
    differ = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    if check:
        sys.stdout.writelines(f"docs/schemas/{name} differs\n" for name in differ)
        return int(bool(differ))
    SCHEMAS.mkdir(exist_ok=True)
    for name in differ:
        if name in wanted:
            (SCHEMAS / name).write_text(wanted[name], "utf-8")
        else:
            (SCHEMAS / name).unlink()
    return 0


def _file_name(kind: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.removesuffix("Document")).lower() + ".json"


def _text(kind: type[document.Document]) -> str:
    """The schema, which takes further fields, because a later version may add some."""
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **kind.model_json_schema(mode="serialization")}
    return json.dumps(json.loads(json.dumps(found), object_hook=_open), indent=2) + "\n"


def _open(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if (name, value) != ("additionalProperties", False)}
