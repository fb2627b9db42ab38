"""What is read of a file of rows: each format, every spelling, and one pass over files of any size."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.command_line.batching import rows
from scripts.command_line.batching.refusals import MOST_COUNTED, FileError, Refusals
from scripts.command_line.batching.row_format import Format
from scripts.command_line.batching.rows import Row, format_of, read_rows
from scripts.command_line.terminal.command_error import CommandError

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(
    lambda text: text.strip() == text
)
VALUES = st.fixed_dictionaries(
    {"prompt": TEXTS},
    optional={"negative_prompt": TEXTS, "seed": st.integers(0, 2**63 - 1), "scale": st.floats(0, 50), "H": st.just(64)},
)


def read(content: str | bytes, form: Format = Format.csv) -> tuple[list[Row], list[str]]:
    refusals = Refusals()
    found = list(read_rows(io.BytesIO(content if isinstance(content, bytes) else content.encode()), form, refusals))
    return found, refusals.told


@given(st.lists(VALUES, min_size=1, max_size=6), st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=60, deadline=None)
def test_csv_is_read_as_it_was_written(written: list[dict[str, Any]], delimiter: str, end: str) -> None:
    file = io.StringIO()
    columns = ["scale", "prompt", "negative_prompt", "seed", "H"]
    writer = csv.DictWriter(file, columns, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(written)
    found, told = read("\ufeff" + file.getvalue())
    assert told == []
    assert [row.given for row in found] == [{name: str(value) for name, value in row.items()} for row in written]


@given(st.lists(VALUES, max_size=6))
@settings(max_examples=60, deadline=None)
def test_jsonl_is_read_as_it_was_written(written: list[dict[str, Any]]) -> None:
    found, told = read("\r\n".join(json.dumps(row) for row in written), Format.jsonl)
    assert (told, [row.given for row in found]) == ([], written)
    assert [row.line for row in found] == list(range(1, len(written) + 1))


def test_every_spelling_is_known() -> None:
    found, told = read(
        "GuidanceScale;n-iter;Sampler Name;init-img;PLMS;Watermark;name;\n"
        "5;2;;a.png;true;TRUE;x;\n\n6;;Euler a;;false;;;\n"
    )
    assert told == []
    assert found[0].given == {"scale": "5", "n_iter": "2", "init_img": "a.png", "sampler": "plms", "watermark": "on"}
    assert (found[0].name, found[0].line, found[1].line) == ("x", 2, 4)
    assert found[1].given == {"scale": "6", "sampler": "Euler a"}
    assert found[0].spelled["scale"] == "GuidanceScale"


@pytest.mark.parametrize(
    ("named", "content"), [("sep=;", "steps;prompt\r\n7;a, b"), ("SEP=|\r", "steps|prompt\n7|a, b")]
)
def test_excel_s_own_first_line_says_what_is_between_the_cells(named: str, content: str) -> None:
    found, told = read(f"\ufeff{named}\n{content}\n")
    assert (told, [(row.line, row.given) for row in found]) == ([], [(3, {"ddim_steps": "7", "prompt": "a, b"})])


def test_a_line_of_prompts_has_options_as_in_a_prompt_file() -> None:
    found, told = read('# horses\n\na horse --cfg_scale 5 --sampler_name "Euler a"\r\n', Format.text)
    assert (told, found[0].line) == ([], 3)
    assert found[0].given == {"prompt": "a horse", "scale": "5", "sampler": "Euler a"}
    assert found[0].spelled["scale"] == "--cfg_scale"


def test_an_empty_text_of_json_is_given_and_null_is_not() -> None:
    found, _ = read('{"prompt": "a", "negative_prompt": "", "seed": null, "name": 7}\n', Format.jsonl)
    assert (found[0].given, found[0].name) == ({"prompt": "a", "negative_prompt": ""}, "7")


@pytest.mark.parametrize(
    ("form", "content", "says"),
    [
        (Format.csv, "prompt,stepz\na,1\n", r"Line 1: 'stepz' is no option of an image; the nearest is steps\."),
        (Format.csv, "\nprompt,run_id\na,1\n", r"Line 2: 'run_id' is the name of the whole batch"),
        (Format.csv, "steps,Steps\n1,2\n", r"Line 1: 'steps' and 'Steps' give the same"),
        (Format.csv, '"prompt","na\nme"\na,b\n', r"Line 1: it is no header of CSV, which stands on one line\."),
        (Format.csv, 'prompt\n"a\nb\n', r"Line 2: it is no CSV \(unexpected end of data\)"),
        (Format.csv, f'prompt\n"{"a" * 200_000}"\n', r"Line 2: it is no CSV \(field larger than field limit"),
        (Format.text, "a\nb\0\n", r"Line 2 has a NUL, as text in UTF-16 has"),
        (Format.text, "a\n".encode("utf-16"), r"Line 1 has a NUL, as text in UTF-16 has"),
        (Format.text, b"a\nhorse \xe4\n", r"Line 2 is not UTF-8"),
        (Format.jsonl, b" " * 300_000, r"Line 1 has more than 262,144 characters"),
    ],
)
def test_a_file_that_cannot_be_read_on_says_where(form: Format, content: str | bytes, says: str) -> None:
    with pytest.raises(FileError, match=says):
        read(content, form)


@pytest.mark.parametrize(
    ("form", "content", "says"),
    [
        (Format.csv, "prompt,seed\na,1,2\nb,3\nc\n", ["Line 2: it has 3 cells", "Line 4: it has 1 cell,"]),
        (Format.csv, "prompt,,\na,,\nb,c,\n", ["Line 3: a cell stands in a column without a name."]),
        (Format.csv, "prompt,plms\na,maybe\n", ["Line 2: plms is 'maybe', but must be true or false."]),
        (Format.csv, "prompt,plms,sampler\na,true,ddim\n", ["Line 2: plms gives a second sampler. Keep one."]),
        (Format.jsonl, '{"prompt": [1]}\n[1]\n{"a"\n', ["Line 1: prompt is neither", "Line 2: it is no JSON object"]),
        (Format.jsonl, '{"seed": 1, "seed": 2}', ["Line 1: 'seed' and 'seed' give the same"]),
        (
            Format.jsonl,
            '{"prompt": "\\ud800"}\n{"prompt": "a\\u0000"}',
            ["Line 1: prompt has a NUL", "Line 2: prompt has"],
        ),
        (Format.jsonl, '{"scale": NaN}', ["Line 1: NaN is no number of JSON."]),
        (Format.jsonl, '{"seed": ' + "9" * 5000 + "}", ["Line 1: it is no JSON."]),
        (Format.jsonl, "[" * 100_000, ["Line 1: it is no JSON."]),
        (Format.jsonl, '{"promt": "a"}', ["Line 1: 'promt' is no option of an image; the nearest is prompt."]),
        (Format.text, "a --steps\nb --stepz 3\n", ["Line 1: --steps has no value.", "Line 2: --stepz is no option"]),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_by_its_line(form: Format, content: str, says: list[str]) -> None:
    _, told = read(content, form)
    assert [line[: len(start)] for line, start in zip(told, says, strict=False)] == says


def test_five_refusals_are_told_and_the_others_counted() -> None:
    refusals = Refusals()
    list(read_rows(io.BytesIO(b"--x\n" * 6), Format.text, refusals))
    with pytest.raises(CommandError, match=r"Line 5: .* There is 1 more such line\. Nothing was queued\."):
        refusals.raise_for("a.txt")
    list(read_rows(io.BytesIO(b"--x\n" * 2), Format.text, refusals))
    with pytest.raises(CommandError, match=r"Line 5: .* There are 3 more such lines\. Nothing was queued\."):
        refusals.raise_for("a.txt")


def test_a_file_of_wrong_rows_is_not_read_to_its_end() -> None:
    """Eight million of them would each be looked at."""

    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:4] = b"--x\n"
            return 4

    refusals = Refusals()
    with pytest.raises(FileError, match="not read"):
        list(read_rows(io.BufferedReader(Endless()), Format.text, refusals))
    assert refusals.count == MOST_COUNTED


def test_a_file_of_empty_lines_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST_CHARACTERS", 1000)
    with pytest.raises(FileError, match="more than 1,000 characters"):
        read("\n" * 2000, Format.text)


def test_the_ending_says_the_format() -> None:
    assert [format_of(name, None) for name in ("a.CSV", "a.tsv", "a.jsonl", "a.txt", "prompts")] == [
        Format.csv, Format.csv, Format.jsonl, Format.text, Format.text,
    ]  # fmt: skip
    with pytest.raises(CommandError, match=r"a\.xlsx ends in \.xlsx, which says none of the formats"):
        format_of("a.xlsx", None)
    assert format_of("a.xlsx", Format.csv) == Format.csv
