"""The figures of docs/security-figures.md that follow from other files: units, fuzzing, soak, locks, checkers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from scripts.docs.places import ROOT
from scripts.proof.steps import SCORES

LOCKS = {
    "requirements.txt": "your machine, without torch",
    "requirements-torch.txt": "torch for your machine, with CUDA",
    "userdata/requirements.txt": "the instance",
    "userdata/compvis/requirements.txt": "the original scripts, without torch",
    "scripts/audit-tools.txt": "the tools of `scripts/audit`",
    "scripts/checkov.txt": "checkov",
    "scripts/fuzz-tools.txt": "atheris",
}


def unit_scores() -> str:
    """The score of each unit, as a test holds it and `./scripts/test --aws` expects it on an instance."""
    rows = (score.split(" ") for score in SCORES.split(", "))
    return _table("unit | score at most", (f"`{unit}` | {score}" for unit, score in rows))


def fuzzed() -> str:
    """The sums of what is kept in tests/fuzz/README.md, and how much the tests feed at each change."""
    counts = _counts("tests/fuzz/README.md", columns=5)
    sums = [f"{sum(column):,}" for column in zip(*counts, strict=True)]
    kept = sum(1 for file in (ROOT / "tests/fuzz/corpus").rglob("*") if file.is_file())
    row = f"{len(counts)} | {sums[0]} | {sums[1]} | {sums[2]} | {sums[3]} | {kept}"
    return _table("parsers | executions | accepted | refused | other errors | files kept in the corpus", [row])


def soaked() -> str:
    """The last row of the soak's table in docs/local-cloud.md."""
    page = (ROOT / "docs/local-cloud.md").read_text("utf-8")
    (table,) = re.findall(r"((?:^\|.*\n)+\| all \|.*)", page, re.MULTILINE)
    rows = [row.split(" | ", 1)[1].rstrip(" |") for row in table.splitlines() if "---" not in row]
    head, _undisturbed, *faults, everything = rows
    return _table(f"faults met | {head}", [f"{len(faults)} | {everything}"])


def locked() -> str:
    """How many packages each lock has, and how many files it names by their hashes."""
    texts = {lock: (ROOT / lock).read_text("utf-8") for lock in LOCKS}
    rows = (
        f"`{lock}` | {LOCKS[lock]} | {len(re.findall('^[a-zA-Z]', text, re.M))} | {text.count('--hash=')}"
        for lock, text in texts.items()
    )
    return _table("lock | for | packages | files, each by its hash", rows)


def left_standing() -> str:
    """How many rules of each checker are passed over; the reason of each stands beside it."""
    lint = yaml.safe_load((ROOT / ".cfnlintrc.yaml").read_text("utf-8"))["ignore_checks"]
    checkov = yaml.safe_load((ROOT / "scripts/checkov.yaml").read_text("utf-8"))["skip-check"]
    return (
        f"{len(lint)} rules of cfn-lint and {len(checkov)} of checkov are passed over, each with its reason beside it."
    )


def _counts(page: str, *, columns: int) -> list[list[int]]:
    """The numbers of each row that has so many columns and only numbers behind its name."""
    rows = re.findall(rf"^\| \S+ \|((?: [0-9,]+ \|){{{columns - 1}}})$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    return [[int(number.replace(",", "")) for number in row.strip(" |").split(" | ")] for row in rows]


def _table(head: str, rows: Iterator[str] | list[str]) -> str:
    between = "|".join(" --- " for _ in head.split(" | "))
    return "\n".join([f"| {head} |", f"|{between}|", *(f"| {row} |" for row in rows)])
