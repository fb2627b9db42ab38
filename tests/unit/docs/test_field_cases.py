"""The page of field cases names the test that holds each line: none of them may be gone or renamed."""

from __future__ import annotations

import re

from scripts.docs.places import ROOT

PAGE = (ROOT / "docs/field-cases.md").read_text("utf-8")


def test_the_tests_that_the_field_cases_name_are_there() -> None:
    files = list((ROOT / "tests").rglob("test_*.py"))
    there = {file.name for file in files}
    for file in files:
        there |= set(re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"\btest_\w+(?:\.py)?", PAGE))
    assert len(named) > 50
    assert named - there == set()
