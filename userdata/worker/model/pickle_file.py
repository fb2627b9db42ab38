"""Opens files of torch.save with nothing but tensors and plain values: nothing that a pickle names is ever called.

torch's reader refuses a pickle that names anything but its own. Trainers leave objects of theirs beside the weights,
which drawing does not need: in their place an inert stand-in is made, and the trainers' modules are not imported.
Rejected: a stand-in for whatever a pickle names. It would be as safe, but who names `os.system` shall be told of.
"""

from __future__ import annotations

import mmap
import pickle
import pickletools
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from userdata.job.run_error import RunError
from userdata.worker.model.mistaken import ZIP, mistaken_for
from userdata.worker.model.pickle_bombs import BombError, refuse_bombs

_NAMED_IN_PICKLE = re.compile(r"GLOBAL (\S+)")
_UNKNOWN_INSTRUCTION = re.compile(r"Unsupported operand (\d+)")
_INSTRUCTIONS = {instruction.code for instruction in pickletools.opcodes}
_END_OF_ZIP = b"PK\x05\x06"
_END_OF_ZIP_BYTES = 22
# A pickle names each of its objects' classes; no checkpoint has so many.
MOST_NAMED = 200


class _StandIn:
    """Takes the place of what a pickle names, whatever it is called with, and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _EmptyDict:
    """Takes the place of a kind of dictionary: torch's reader fills an `OrderedDict` only."""

    def __new__(cls, *_: Any) -> Any:
        return OrderedDict()


# What trainers and their libraries leave in a checkpoint beside the weights.
HARMLESS = re.compile(
    r"(?:pytorch_lightning|lightning|lightning_fabric|omegaconf|torchmetrics|ldm|sgm|torch\.optim|pathlib|datetime)\..+"
    r"|numpy(?:\.core|\._core)?(?:\.multiarray)?\.(?:scalar|dtype|ndarray|_reconstruct|bool_|(?:float|u?int)\d+)"
    r"|numpy\.dtypes\.\w+|numpy\._core\.numeric\._frombuffer"
    r"|argparse\.Namespace|types\.SimpleNamespace|typing\.\w+|uuid\.UUID|decimal\.Decimal"
    r"|torch\.torch_version\.TorchVersion|yacs\.config\.CfgNode"
    r"|(?:builtins\.)?(?:int|float|bool|str|bytes|list|dict|tuple|set|frozenset|complex|bytearray|slice|object)"
    r"|copyreg\._reconstructor"
)
_DICTIONARIES = re.compile(r"collections\.defaultdict|.*\.AttributeDict|easydict\.EasyDict|addict\.\w+\.Dict|box\.Box")


def load_pickle(file: Path) -> Any:
    """What `file` holds, its tensors mapped.

    Raises `ValueError` with the reason when it is no file of torch.save, or would run anything, and `RunError` when the
    machine's memory does not suffice, which is no fault of the file.
    """
    stand_ins: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = []
    try:
        refuse_bombs(file)
    except BombError as error:
        raise ValueError(mistaken_for(file) or str(error)) from error
    except (RuntimeError, OSError) as error:
        raise ValueError(_reason(file, error)) from error
    while True:
        try:
            with torch.serialization.safe_globals(stand_ins):
                return _load(file)
        except MemoryError as error:
            raise RunError(
                f"The machine's memory does not suffice to open {file.name}. Deploy again with an "
                "InstanceType that has more, or name the same as .safetensors, which takes less."
            ) from error
        # torch's reader answers a pickle of nonsense with whatever error its first slip raises.
        except Exception as error:
            stand_in = _stand_in_for(error)
            if stand_in is None or stand_in in stand_ins or len(stand_ins) == MOST_NAMED:
                raise ValueError(_reason(file, error)) from error
            stand_ins.append(stand_in)


def _reason(file: Path, error: Exception) -> str:
    return mistaken_for(file) or _too_long(file) or _why_no_weights(error)


def _load(file: Path) -> Any:
    # torch hands a file of this name to another library, whatever it is.
    if file.suffix == ".safetensors":
        with file.open("rb") as content:
            return torch.load(content, map_location="cpu", weights_only=True)
    # Files that torch before 1.6 wrote are no zip files, and cannot be mapped.
    return torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))


def _stand_in_for(error: Exception) -> tuple[Any, str] | None:
    """What shall stand for what torch's reader has refused, and its name; None for what may not be passed over."""
    named = _NAMED_IN_PICKLE.search(str(error))
    if not (named and isinstance(error, pickle.UnpicklingError)):
        return None
    name = named[1] if "." in named[1] else f"builtins.{named[1]}"
    if _DICTIONARIES.fullmatch(name):
        return (_EmptyDict, name)
    return (_StandIn, name) if HARMLESS.fullmatch(name) else None


def _why_no_weights(error: Exception) -> str:
    named = _NAMED_IN_PICKLE.search(str(error))
    if named and isinstance(error, pickle.UnpicklingError):
        return (
            f"it is a pickle that asks for {named[1]}, which could be any code; nothing of it was run. Whoever trusts "
            "the file can convert it to .safetensors"
        )
    unknown = _UNKNOWN_INSTRUCTION.search(str(error))
    if unknown and chr(int(unknown[1])) in _INSTRUCTIONS:
        return "it is a pickle with instructions that torch's safe reader does not take: save it as .safetensors"
    if "TorchScript" in str(error):
        return "it is a program of TorchScript"
    if isinstance(error, OSError):
        return str(error)
    if isinstance(error, RuntimeError):
        return f"it is cut off, or no file of torch.save ({first_sentence(error)})"
    return "it is no file of torch.save, or damaged"


def _too_long(file: Path) -> str | None:
    """The reason about an archive that so many other bytes follow that torch's reader cannot find its end."""
    with file.open("rb") as content, mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        end = mapped.rfind(_END_OF_ZIP) if mapped[: len(ZIP)] == ZIP else -1
        more = len(mapped) - end - _END_OF_ZIP_BYTES
    return None if end < 0 or more <= 0 else f"{more} bytes follow the end of its archive: take the file anew"


def first_sentence(error: Exception) -> str:
    """The first sentence of what a library says."""
    return str(error).strip().split("\n")[0].split(". ")[0].rstrip(".")[:200] or type(error).__name__
