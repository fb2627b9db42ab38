"""The files of this machine that a person names: finds and reads them, and gives each a key in the results bucket."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scripts.command_line.terminal.command_error import CommandError
from userdata.contract.catalogue import HUB_PLACE, S3
from userdata.contract.layout import INPUTS
from userdata.contract.lora_list import key_stem

# The parameters that name files of the model, each with how long the stem of an upload's key may be: all that are
# listed must fit into the parameter.
MODEL_FILES = {"Lora": 36, "Vae": 60, "Embeddings": 20}


def file_here(given: str) -> Path | None:
    """The file of this machine that `given` names; None for any other text."""
    try:
        return Path(given) if given and Path(given).is_file() else None
    except (OSError, ValueError):
        return None  # longer than any path, or with a NUL


def content_of(file: Path, most: int) -> bytes:
    """The content of a file. Raises `CommandError` when it cannot be read or has more than `most` bytes."""
    with _file_errors_in_words(file), file.open("rb") as opened:
        content = opened.read(most + 1)
    if len(content) > most:
        raise CommandError(f"{file} has {file.stat().st_size:,} bytes, but may have {most:,}.", exit_status=2)
    return content


def digest_of(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal, which may be larger than the memory. Raises `CommandError`."""
    with _file_errors_in_words(file), file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@contextmanager
def _file_errors_in_words(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandError(
            f"{file} cannot be read: {error.strerror}. Name another file, or mend that one.", exit_status=2
        ) from error


def key_for(file: Path, sha256: str, longest_stem: int, suffix: str) -> str:
    """The key has a part of the content's SHA-256, so that another file of the same name is another run.

    A run that was made from this file can then be made again.
    """
    return f"{INPUTS}{key_stem(file.stem)[:longest_stem] or 'input'}-{sha256[:8]}{suffix}"


def find_model_files(given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Path]]:
    """`given` with a key in the place of each file of this machine that its `MODEL_FILES` name, and these files.

    The files are by their keys. A file goes before an object of the same name. Raises `CommandError` for what is
    neither a file nor a place.
    """
    named, uploads = dict(given), {}
    for parameter in MODEL_FILES:
        if parameter in given:
            named[parameter], files = _files_in(parameter, given[parameter])
            uploads.update(files)
    return named, uploads


def _files_in(parameter: str, text: str) -> tuple[str, dict[str, Path]]:
    listed, files = [], {}
    for one in [text] if file_here(text) else filter(None, (part.strip() for part in text.split(","))):
        place, colon, weight = one.rpartition(":")
        place, weight = (one, "") if file_here(one) else (place, colon + weight)
        if file := file_here(place):
            key = key_for(file, digest_of(file), MODEL_FILES[parameter], file.suffix.lower())
            files[key] = file
            one = key + weight
        elif not one.startswith((HUB_PLACE, S3, INPUTS)):
            weighted = ", with its weight behind a colon" if parameter == "Lora" else ""
            raise CommandError(
                f"{parameter} is {one!r}, but there is no such file here. A file elsewhere is hf:owner/name/file, "
                f"s3://bucket/key or inputs/key{weighted}.",
                exit_status=2,
            )
        elif strange := re.search(r"[^A-Za-z0-9_./+=@:-]", one):
            raise CommandError(
                f"{parameter} is {one!r}, but the name of a file elsewhere cannot have {strange[0]!r}. Rename the file "
                "there, or give a file of this machine, whose name may have any characters.",
                exit_status=2,
            )
        listed.append(one)
    return ",".join(listed) if files else text, files
