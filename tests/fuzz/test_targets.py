"""Each target meets the kept files, every crash that was found among them, and a few hundred changed ones."""

from __future__ import annotations

import itertools

import pytest

from tests.fuzz.run import CORPUS, TARGETS, corpus, endless, run, table
from tests.fuzz.target import Target

# Together a second or two. `scripts/fuzz` goes on for as long as one likes.
EXECUTIONS = 100


@pytest.mark.parametrize("name", TARGETS)
def test_a_value_comes_out_or_the_one_error_that_is_promised(name: str) -> None:
    kept = run(name, corpus(name))
    assert kept.faults == {}, table({name: kept})
    assert kept.accepted, "a corpus of nothing good leads nowhere"
    changed = run(name, itertools.islice(endless(name), EXECUTIONS // TARGETS[name].cost))
    assert changed.faults == {}, table({name: changed})


def test_each_kept_file_has_a_target() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(TARGETS)
    assert sum(file.stat().st_size for file in CORPUS.rglob("*") if file.is_file()) < 100_000


def test_another_error_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the driver sees what it looks for."""
    monkeypatch.setitem(TARGETS, "hold", Target(lambda content: content[1] and None))
    counts = run("hold", [b"", b"ab"])
    assert (counts.executions, counts.refused, counts.others) == (2, 1, 1)
    assert list(counts.faults.values()) == [b""]
    assert "IndexError at test_targets.py" in next(iter(counts.faults))
