"""What the person has written into the CDK's files: the context that holds where no `-c` says otherwise."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from scripts.command_line.terminal.command_error import CommandError
from stacks.facts.settings import as_context

ROOT = Path(__file__).parents[3]


def written_context(root: Path = ROOT) -> dict[str, str]:
    """The context of the CDK's files, as `-c` takes it; cdk.json goes before cdk.context.json and ~/.cdk.json.

    Raises `CommandError` for a file that is no JSON object. Source: https://docs.aws.amazon.com/cdk/v2/guide/context.html
    """
    # Path's own expanduser raises where there is no home.
    user = _read(Path(os.path.expanduser("~/.cdk.json")))  # noqa: PTH111
    project = _read(root / "cdk.json")
    context = {**user.get("context", {}), **_read(root / "cdk.context.json"), **project.get("context", {})}
    return {name: as_context(value) for name, value in context.items()}


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} cannot be read, and the CDK obeys it: {error}. Mend it or move it away.") from error
    return content if isinstance(content, dict) else {}
