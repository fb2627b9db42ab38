"""Reads templates."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any

from moto.cloudformation.models import Stack

# Bound now: the reader below takes the place of moto's.
_moto_reader = Stack.parse_template


def parse_template(text: str) -> dict[str, Any]:
    """Reads a template: JSON first, for which moto's YAML reader takes a hundred times as long.

    Raises what moto's reader raises for a text that is neither.
    """
    try:
        template: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError:
        template = _moto_reader(text)
    return template


def bucket_and_key(url: str) -> tuple[str, str]:
    """The bucket and the key of a template's URL, with the bucket in the path or in front of the host's name.

    moto's own reading takes an IP address for a host with a bucket in front.
    """
    parts = urllib.parse.urlsplit(url)
    host, path = parts.hostname or "", urllib.parse.unquote(parts.path).lstrip("/")
    in_front = re.fullmatch(r"(.+)\.(s3[.-].*|localhost)", host)
    if in_front:
        return in_front[1], path
    bucket, _, key = path.partition("/")
    return bucket, key


def references(value: Any) -> Iterator[str]:
    """The names of parameters and resources that a part of a template refers to, by Ref, Fn::GetAtt or Fn::Sub."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        for key, below in value.items():
            if key == "Ref" and isinstance(below, str):
                yield below
            elif key == "Fn::GetAtt":
                yield (below.split(".") if isinstance(below, str) else below)[0]
            elif key == "Fn::Sub":
                text, local = (below, {}) if isinstance(below, str) else below
                yield from (name.split(".")[0] for name in placeholders(text) if name not in local)
                yield from references(local)
            else:
                yield from references(below)


def placeholders(text: str) -> Iterator[str]:
    """The names in `${...}` of a text of Fn::Sub; `${!...}` is a literal."""
    start = 0
    while (start := text.find("${", start)) >= 0:
        end = text.find("}", start)
        if end < 0:
            return
        if not text.startswith("${!", start):
            yield text[start + 2 : end].strip()
        start = end


def dependencies(resources: dict[str, dict[str, Any]]) -> dict[str, set[str]]:
    """For each resource's name, the names of the resources that it refers to or DependsOn."""
    needs = {}
    for name, resource in resources.items():
        depends = resource.get("DependsOn", [])
        named = {*([depends] if isinstance(depends, str) else depends), *references(resource)}
        needs[name] = named & resources.keys()
    return needs


def dependency_order(resources: dict[str, dict[str, Any]]) -> list[str]:
    """The resources' names, each after those that it refers to or DependsOn.

    Raises `ValueError` for a circle, as the service does.
    """
    needs, ordered = dependencies(resources), dict[str, None]()
    open_names: list[str] = []

    def visit(name: str) -> None:
        if name in ordered:
            return
        if name in open_names:
            raise ValueError(f"Circular dependency between resources: [{', '.join(sorted(open_names))}]")
        open_names.append(name)
        for other in sorted(needs[name], key=list(resources).index):
            visit(other)
        open_names.pop()
        ordered[name] = None

    for name in resources:
        visit(name)
    return list(ordered)
