"""Reads a file of rows, lines of prompts, CSV or JSONL: one after the other, so that memory stays flat."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, BinaryIO

from scripts.command_line.batching.columns import NAME, as_given, fields_of
from scripts.command_line.batching.refusals import FileError, Refusals, RowError
from scripts.command_line.batching.row_format import Format
from scripts.command_line.terminal.command_error import CommandError
from userdata.job.prompt_file import OPTIONS, PromptFileError, parse_line

# Of a row's longest texts, written with an escape for each character.
MOST_LINE = 256 * 1024
MOST_CHARACTERS = 1024**3
DELIMITERS = ",;\t"
# Excel's own first line, which says what stands between the cells; Excel shows it to nobody.
SEPARATOR = re.compile(r'sep=(?P<delimiter>[^"\s]|\t)\s*', re.IGNORECASE)
# What a byte that is no UTF-8 is decoded to.
_NO_UTF8 = re.compile("[\udc80-\udcff]")
# JSON can escape what is in no file.
NO_TEXT = re.compile("[\0\ud800-\udfff]")


ENDINGS = {
    "": Format.text,
    ".txt": Format.text,
    ".csv": Format.csv,
    ".tsv": Format.csv,
    ".jsonl": Format.jsonl,
    ".ndjson": Format.jsonl,
}


@dataclass(frozen=True)
class Row:
    """One row: the number of the line that it begins on, from 1, and what it gives of the job, by the fields' names.

    `spelled` are these fields as the person wrote them. `scheduler` is the one field that a job does not have.
    """

    line: int
    given: Mapping[str, str | int | float]
    spelled: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None


def format_of(file: str, asked: Format | None) -> Format:
    """The format of `file`, `-` for standard input. Raises `CommandError`, for misuse, for an ending of others."""
    ending = PurePath(file).suffix.lower()
    if asked is None and ending not in ENDINGS:
        raise CommandError(
            f"{file} ends in {ending}, which says none of the formats: add --format text, csv or jsonl.", exit_status=2
        )
    return asked or ENDINGS[ending]


def read_rows(file: BinaryIO, form: Format, refusals: Refusals) -> Iterator[Row]:
    """The rows of `file` in their order; those that cannot be read are added to `refusals`.

    Raises `FileError` where nothing behind can be read.
    """
    readers: dict[Format, Callable[[Iterator[str], Refusals], Iterator[Row]]] = {
        Format.text: _read_text,
        Format.csv: _read_csv,
        Format.jsonl: _read_jsonl,
    }
    yield from readers[form](_lines(file), refusals)


def _lines(file: BinaryIO) -> Iterator[str]:
    # Line breaks stay as they are, because csv wants them so.
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    total = 0
    for number in itertools.count(1):
        line = text.readline(MOST_LINE + 1)
        if not line:
            return
        total += len(line)
        if "\0" in line:
            raise FileError(f"Line {number} has a NUL, as text in UTF-16 has. Save the file in UTF-8.")
        if not line.isascii() and _NO_UTF8.search(line):
            raise FileError(f"Line {number} is not UTF-8. Save the file with that encoding.")
        if len(line) > MOST_LINE:
            raise FileError(f"Line {number} has more than {MOST_LINE:,} characters.")
        if total > MOST_CHARACTERS:
            raise FileError(f"It has more than {MOST_CHARACTERS:,} characters. Make several files of it.")
        yield line


def _read_text(lines: Iterator[str], refusals: Refusals) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            given = parse_line(line.rstrip("\r\n"))
        except PromptFileError as error:
            refusals.add(number, error)
            continue
        words = line.split() if "--" in line else []
        spelled = {field: f"--{option}" for option, field in OPTIONS.items() if f"--{option}" in words}
        yield Row(number, given, spelled)


def _read_csv(lines: Iterator[str], refusals: Refusals) -> Iterator[Row]:
    before, header, delimiters = 0, "", DELIMITERS
    while not header.strip():
        header = next(lines, "")
        if not header:
            return
        before += 1
        if before == 1 and (named := SEPARATOR.fullmatch(header)):
            header, delimiters = "", named["delimiter"]
    columns, fields, delimiter = _read_header(header, before, delimiters)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        number = before + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FileError(f"Line {number}: it is no CSV ({error}). Look at its quotes.") from None
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if len(cells) != len(columns):
            has = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
            refusals.add(number, f"it has {has}, but the header has {len(columns)} columns.")
            continue
        by_column = dict(zip(columns, cells, strict=True))
        try:
            if any(cell for column, cell in zip(columns, cells, strict=True) if not column):
                raise RowError("a cell stands in a column without a name.")
            values = {name: by_column[column] for name, column in fields.items() if by_column[column]}
            yield _row(number, values, fields)
        except RowError as error:
            refusals.add(number, error)


def _read_header(header: str, number: int, delimiters: str) -> tuple[list[str], dict[str, str], str]:
    """The columns, the columns by fields, and the delimiter, the one of `delimiters` that makes the most columns.

    Rejected: csv.Sniffer, which guesses from the prompts.
    """

    def split(delimiter: str) -> list[str]:
        try:
            return [column.strip() for column in next(csv.reader([header], delimiter=delimiter, strict=True))]
        except csv.Error:
            return []

    delimiter = max(delimiters, key=lambda one: len(split(one)))
    columns = split(delimiter)
    if not columns:
        raise FileError(f"Line {number}: it is no header of CSV, which stands on one line. Look at its quotes.")
    try:
        return columns, fields_of([column for column in columns if column]), delimiter
    except RowError as error:
        raise FileError(f"Line {number}: {error}") from None


def _read_jsonl(lines: Iterator[str], refusals: Refusals) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line, object_pairs_hook=_Pairs, parse_constant=_refuse_constant)
        except RowError as error:
            refusals.add(number, error)
            continue
        except (ValueError, RecursionError):
            refusals.add(number, "it is no JSON.")
            continue
        if not isinstance(found, _Pairs):
            refusals.add(number, 'it is no JSON object, for example {"prompt": "a horse", "seed": 7}.')
            continue
        try:
            fields = fields_of([key for key, _ in found])
            yield _row(number, dict(zip(fields, (value for _, value in found), strict=True)), fields)
        except RowError as error:
            refusals.add(number, error)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object, in which a key may stand twice."""


def _refuse_constant(name: str) -> None:
    raise RowError(f"{name} is no number of JSON.")


def _row(number: int, values: dict[str, Any], spelled: Mapping[str, str]) -> Row:
    """The row of these values; JSON's null is as if the key were not there."""
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        if not isinstance(value, (str, int, float)):
            raise RowError(f"{spelled[name]} is neither a text nor a number.")
        if isinstance(value, str) and NO_TEXT.search(value):
            raise RowError(f"{spelled[name]} has a NUL or half a character, which no file can hold. Take it out.")
    name = given.pop(NAME, None)
    return Row(number, as_given(given), spelled, None if name is None else str(name))
