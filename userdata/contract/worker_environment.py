"""The variables that the boot tells the worker: name, writer and reader of each stand here once.

The boot writes two files. `worker.env` holds what is known when the worker is started, ahead of its model; `model.env`
follows when everything that the worker draws with is ready.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Callable,
    Dict,
    Literal,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
    Type,
    TypeVar,
    get_args,
    get_type_hints,
)

from userdata.contract.environment_file import environment_text
from userdata.contract.outside import read_utc
from userdata.contract.status import utc_text

# Added to worker.env, with any value, for a worker that waits for the queues without end, on a machine that stays up.
STAYS = "SD_STAYS"
# Names the socket of the drawing process; sd-worker.service sets it.
DRAWING_SOCKET = "SD_DRAWING_SOCKET"
# The exit status of `userdata.boot.provide` where the cause passes by itself: EX_TEMPFAIL of sysexits.h.
FAILED_FOR_NOW = 75
LifeCycle = Literal["on-demand", "spot"]
Device = Literal["cpu"]
Document = TypeVar("Document", bound="Variables")
_NEEDED = object()


class Variable(NamedTuple):
    """An environment variable: `read` makes a value of its text, `default` stands for one that is not set."""

    name: str
    read: Callable[[str], Any] = str
    default: Any = _NEEDED


class Paths(Tuple[Path, ...]):
    """Paths in one variable, with colons between them, as in PATH."""

    @classmethod
    def read(cls, text: str) -> Paths:
        """The paths that `str` has written."""
        return cls(Path(path) for path in text.split(os.pathsep))

    def __str__(self) -> str:
        return os.pathsep.join(map(str, self))


def _one_of(choices: Any) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in get_args(choices):
            raise ValueError(f"must be one of {', '.join(get_args(choices))}")
        return text

    return read


@dataclass(frozen=True)
class Variables:
    """A document whose fields are environment variables, each annotated with its `Variable`."""

    def to_text(self, others: Optional[Mapping[str, str]] = None) -> str:
        """The text of an environment file with `others` and the fields that are set, which win.

        Raises `ValueError` for a value with a line break.
        """
        return environment_text({**(others or {}), **self.variables()})

    def variables(self) -> Dict[str, str]:
        """The fields that are set, by the names of their variables."""
        variables = {}
        for field, variable in self.fields().items():
            value = getattr(self, field)
            if value is not None:
                variables[variable.name] = utc_text(value) if isinstance(value, datetime) else str(value)
        return variables

    @classmethod
    def read(cls: Type[Document], environment: Mapping[str, str]) -> Document:
        """The document in `environment`; an empty variable counts as not set.

        Raises `ValueError`, naming each variable that is missing or wrong.
        """
        values, wrong = {}, []
        for field, variable in cls.fields().items():
            text = environment.get(variable.name)
            try:
                if text:
                    values[field] = variable.read(text)
                elif variable.default is _NEEDED:
                    raise ValueError("is missing")
                else:
                    values[field] = variable.default
            except ValueError as error:
                wrong.append(f"{variable.name}: {error}")
        if wrong:
            raise ValueError("; ".join(wrong))
        return cls(**values)

    @classmethod
    def fields(cls) -> Dict[str, Variable]:
        """Each field's variable."""
        return {field: hint.__metadata__[0] for field, hint in get_type_hints(cls, include_extras=True).items()}


@dataclass(frozen=True)
class WorkerEnvironment(Variables):
    """`worker.env`: the machine. worker.sh starts `python`; `device` is `cpu` or, where a GPU is meant to be, None."""

    python: Annotated[Optional[Path], Variable("SD_PYTHON", Path, None)]
    device: Annotated[Optional[Device], Variable("SD_DEVICE", _one_of(Device), None)]
    bucket: Annotated[str, Variable("SD_BUCKET")]
    instance_id: Annotated[str, Variable("SD_INSTANCE_ID")]
    instance_type: Annotated[str, Variable("SD_INSTANCE_TYPE")]
    life_cycle: Annotated[LifeCycle, Variable("SD_LIFE_CYCLE", _one_of(LifeCycle), "on-demand")]
    region: Annotated[str, Variable("AWS_DEFAULT_REGION")]
    boot_started_at: Annotated[datetime, Variable("SD_BOOT_STARTED_AT", read_utc)]


@dataclass(frozen=True)
class ModelEnvironment(Variables):
    """`model.env`: the places of what the worker draws with. None is what the job does not ask for.

    `lora_files` are those of the job's `Lora`, in its order, and `embedding_files` those of its `Embeddings`.
    `compiled` is the folder of kernels that an earlier machine has compiled.
    """

    model_folder: Annotated[Path, Variable("SD_MODEL_FOLDER", Path)]
    lora_files: Annotated[Optional[Paths], Variable("SD_LORA_FILES", Paths.read, None)] = None
    vae_file: Annotated[Optional[Path], Variable("SD_VAE_FILE", Path, None)] = None
    embedding_files: Annotated[Optional[Paths], Variable("SD_EMBEDDING_FILES", Paths.read, None)] = None
    safety_checker: Annotated[Optional[Path], Variable("SD_SAFETY_CHECKER", Path, None)] = None
    compiled: Annotated[Optional[Path], Variable("SD_COMPILED", Path, None)] = None
    compvis_repository: Annotated[Optional[Path], Variable("SD_COMPVIS_REPOSITORY", Path, None)] = None
    compvis_python: Annotated[Optional[Path], Variable("SD_COMPVIS_PYTHON", Path, None)] = None
