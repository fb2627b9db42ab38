"""Looks at a file of torch.save before it is loaded, and refuses one of which little makes much memory, or takes ages.

torch's reader runs nothing of a stranger's. But it inflates what torch.save never compresses, and a few of the calls
that it allows take any number: `bytearray(10**11)`, or an encoding whose time grows with the square of its text. A
tuple that holds another one twice, and so on fifty times, takes for ever as a dictionary's key.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch

from userdata.worker.model.mistaken import PICKLE_IN_ZIP, ZIP

# That of a checkpoint with 2,000 tensors has half a million. Each byte can be a list, which takes 64.
MOST_PICKLE_BYTES = 16 * 1024 * 1024
# Two thousand tensors take some sixty thousand.
MOST_INSTRUCTIONS = 500_000
# Counted through tuples within tuples. What tells a tensor has some twenty.
MOST_IN_TUPLE = 10_000
# What torch.save wrote before 1.6: its number, its version, its machine, the tensors, their storages.
_PICKLES = 5
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
_NAMES = ("GLOBAL", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE")
# Calls that torch's reader allows, and the last argument, the only one with which pickle itself writes them.
_CALLS = ("_codecs encode", "builtins bytearray", "__builtin__ bytearray")
_LATIN = ("latin1", "latin-1")


class BombError(ValueError):
    """The file must not be loaded. The message is the reason, which goes on after "the file is refused, because"."""


def refuse_bombs(file: Path) -> None:
    """Raises `BombError` for a bomb, and `OSError`. Passes what torch's reader refuses by itself."""
    with file.open("rb") as content:
        is_zip = content.read(len(ZIP)) == ZIP
        content.seek(0)
        pickles: BinaryIO | _Bounded = io.BytesIO(_pickle_in_zip(content, file)) if is_zip else _Bounded(content)
        try:
            for _ in range(1 if is_zip else _PICKLES):
                _Stack().read(pickles)
        except BombError:
            raise
        except UnicodeDecodeError as error:
            raise BombError("its pickle has names that are no text") from error
        except (ValueError, IndexError, KeyError, TypeError, AttributeError):
            return  # torch's reader comes no further


def _pickle_in_zip(content: BinaryIO, file: Path) -> bytes:
    try:
        with zipfile.ZipFile(content) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise RuntimeError(str(error)) from error
    # Python and torch would see different directories.
    if min((entry.header_offset for entry in entries), default=0):
        raise BombError("something stands before its archive, which torch.save never writes")
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size for entry in entries):
        raise BombError("its archive is compressed, as torch.save never does: unpack the weights and save them anew")
    reader = torch._C.PyTorchFileReader(str(file))
    if PICKLE_IN_ZIP not in reader.get_all_records():
        return b""
    _check_size(reader.get_record_size(PICKLE_IN_ZIP))
    found: bytes = reader.get_record(PICKLE_IN_ZIP)
    return found


def _check_size(size: int) -> None:
    if size > MOST_PICKLE_BYTES:
        raise BombError(f"what tells of its tensors has more than {MOST_PICKLE_BYTES:,} bytes")


class _Bounded:
    """The pickles at the beginning of a file."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content

    def read(self, count: int) -> bytes:
        _check_size(self.tell() + count)
        return self._content.read(count)

    def readline(self) -> bytes:
        line = self._content.readline(MOST_PICKLE_BYTES)
        _check_size(self.tell())
        return line

    def tell(self) -> int:
        return self._content.tell()


class _Item(NamedTuple):
    """What stands on the stack: how much a tuple holds, and its last text; of a text and a name, that itself."""

    held: int = 1
    last: str | None = None


class _Stack:
    """The stack of a pickle machine, without what stands on it."""

    def __init__(self) -> None:
        self._items: list[_Item] = []
        self._marks: list[int] = []
        self._memo: dict[Any, _Item] = {}

    def read(self, content: BinaryIO | _Bounded) -> None:
        instructions = pickletools.genops(content)  # type: ignore[arg-type]  # it wants these three methods alone
        for count, (opcode, argument, _) in enumerate(instructions, 1):
            if count > MOST_INSTRUCTIONS:
                raise BombError(f"what tells of its tensors has more than {MOST_INSTRUCTIONS:,} instructions")
            if opcode.name in _PUTS:
                self._memo[argument] = self._items[-1]
            elif opcode.name in _GETS:
                self._items.append(self._memo[argument])
            elif opcode.name == "MARK":
                self._marks.append(len(self._items))
            elif opcode.name == "MEMOIZE":
                self._memo[len(self._memo)] = self._items[-1]
            else:
                self._items.extend(self._made(opcode, argument, self._taken(opcode)))

    def _taken(self, opcode: pickletools.OpcodeInfo) -> list[_Item]:
        before = opcode.stack_before
        at = len(self._items) - len(before)
        if pickletools.markobject in before:
            at = self._marks.pop() - before.index(pickletools.markobject)
        if at < 0:
            raise IndexError("the stack is empty")
        taken = self._items[at:]
        del self._items[at:]
        return taken

    def _made(self, opcode: pickletools.OpcodeInfo, argument: Any, taken: list[_Item]) -> list[_Item]:
        if opcode.name in _NAMES:
            return [_Item(last=str(argument))]
        if opcode.name == "REDUCE" and taken[0].last in _CALLS:
            if taken[1].held > 1 and taken[1].last not in _LATIN:
                raise BombError(f"it calls {taken[0].last} with what no file of torch.save calls it with")
            return [_Item(last=_LATIN[0])]  # by protocol 2, a `bytearray` is made of an encoded text
        if "TUPLE" in opcode.name:
            held = 1 + sum(item.held for item in taken)
            if held > MOST_IN_TUPLE:
                raise BombError(f"it has a tuple that holds more than {MOST_IN_TUPLE:,} values")
            return [_Item(held, taken[-1].last if taken else None)]
        # What is added to stays what it was.
        kept = [_Item(last=item.last) for item in taken[:1]] if opcode.name == "DUP" else []
        return (kept or [_Item()]) * len(opcode.stack_after)
