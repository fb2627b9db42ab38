"""README.md and docs/ must not drift from the code that they show."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from scripts.command_line.before.doctor import CHECKS
from scripts.docs.__main__ import write_pages
from scripts.docs.captures import DEMO
from scripts.docs.parts import tree
from scripts.docs.places import CAPTURES, ROOT
from scripts.docs.schemas import write_schemas
from stacks.facts.card_speeds import ARTICLE_TFLOP, WORK_PER_PIXEL
from userdata.contract.catalogue import read_catalogue

PAGES = [ROOT / "README.md", ROOT / "AGENTS.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = "(?:benchmarks|demo_model|docs|scripts|stacks|tests|userdata)"
LONGEST_LINE = 120
LONGEST_CELL = 300


def test_the_generated_parts_are_up_to_date(capfd: pytest.CaptureFixture[str]) -> None:
    assert write_pages(check=True) == 0, capfd.readouterr().out


def test_the_schemas_of_json_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert write_schemas(check=True) == 0, capsys.readouterr().out


def test_every_capture_is_shown() -> None:
    pages = "".join(page.read_text("utf-8") for page in PAGES)
    for capture in CAPTURES.glob("*.txt"):
        assert f'captured("{capture.stem}")' in pages


def test_the_captured_demo_is_what_the_demo_runs() -> None:
    script = re.sub(r"\\\n\s*", "", (ROOT / "scripts/demo").read_text("utf-8"))
    options = DEMO.removeprefix("sd ").partition(' "')[0]
    assert f'scripts/sd" {options} "$@"' in script


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for file, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text("utf-8")):
        target = page.parent / file if file else page
        assert target.exists(), f"{page.name} -> {file}"
        assert not heading or heading in headings(target), f"{page.name} -> {file}#{heading}"


def headings(page: Path) -> list[str]:
    """The anchors that GitHub gives the headings of a page."""
    found = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "vocabulary.md"], ids=lambda page: page.name)
def test_a_page_can_be_read_in_a_terminal(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for line in prose.splitlines():
        assert line.startswith("|") or len(line) <= LONGEST_LINE, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_cell_of_a_table_is_a_paragraph(page: Path) -> None:
    for line in page.read_text("utf-8").splitlines():
        if line.startswith("| "):
            assert max(map(len, re.split(r"(?<!\\)\|", line))) <= LONGEST_CELL, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    for path in re.findall(rf"`({FOLDERS}/[\w./-]*)`", page.read_text("utf-8")):
        assert (ROOT / path).exists(), f"{page.name}: {path}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_is_there(page: Path) -> None:
    for path, name in re.findall(r"`(tests/[\w./-]+)::(\w+)`", page.read_text("utf-8")):
        assert f"def {name}(" in (ROOT / path).read_text("utf-8"), f"{page.name}: {path}::{name}"


def test_every_script_that_is_named_can_be_run() -> None:
    for script in set(re.findall(r"\./(scripts/[a-z/-]+)", "".join(page.read_text("utf-8") for page in PAGES))):
        listed = subprocess.run(
            ["git", "ls-files", "--stage", script], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert listed.stdout.startswith("100755"), script


@pytest.mark.parametrize("name", CHECKS)
def test_every_line_of_the_doctor_is_explained(name: str) -> None:
    assert f"| {name} |" in (ROOT / "docs/cost.md").read_text("utf-8")


def test_the_work_of_each_model_is_shown() -> None:
    page = (ROOT / "docs/cost.md").read_text("utf-8")
    assert f"{ARTICLE_TFLOP:g} TFLOP" in page
    shown = {"SDXL": "stable-diffusion-xl", "FLUX.2 klein": "flux2-klein", "Z-Image": "z-image", "Chroma": "chroma"}
    for title, layout in {**shown, "FLUX.1": "flux-schnell"}.items():
        assert re.search(rf"{title} {WORK_PER_PIXEL[layout]} times", page), title


def test_the_page_says_of_each_model_what_the_catalogue_says() -> None:
    page = (ROOT / "docs/models.md").read_text("utf-8")
    for name, model in read_catalogue().items():
        row = re.search(rf"^\| \[?`{name}`.*$", page, re.MULTILINE)
        assert row, name
        _, _, drawn, download, memory, in_full, licence, _ = (cell.strip() for cell in row[0].split("|"))
        assert download == (f"{model.bytes / 1e9:.1f} GB" if model.bytes else "none")
        assert (memory, in_full) == (f"{model.memory_gib} GiB", str(model.full_memory_gib))
        assert licence.startswith(model.licence)
        assert ("gated" in licence, "wants a word" in licence) == (model.gated, model.forbids is not None)
        if drawn[0].isdigit():
            of = model.defaults
            assert drawn.startswith(f"{of['W']} x {of['H']}, {of['ddim_steps']} steps"), name
            assert ("no guidance" in drawn) == (of["scale"] <= 1)


def test_the_tree_has_a_sentence_for_every_room() -> None:
    rooms = re.findall(r"^ *(\w+)/(.*)$", tree(), re.MULTILINE)
    assert {"contract", "facts", "kernels", "terminal", "cloudformation", "world"} <= {name for name, _ in rooms}
    assert all(sentence.strip() for _, sentence in rooms), rooms
