"""What a custom image says about itself, in one file of plain `NAME=value` lines.

| name | meaning |
| --- | --- |
| `SD_PYTHON` | the interpreter for the worker, instead of an environment built at the first boot |
| `SD_DEVICE` | `cpu` says that no GPU is meant to be here |
| `SD_MINIFORGE_URL` | a mirror of https://github.com/conda-forge/miniforge/releases/download |
| `SD_WEIGHTS_URL` | a mirror of https://huggingface.co |
| `SD_COMPVIS_URL` | a mirror of https://github.com/CompVis/stable-diffusion |
| `SD_COMPVIS_PYTHON` | the interpreter for the original scripts, instead of an environment that the boot builds |

Every other line reaches the programs that the boot starts as environment variables, for example `PIP_INDEX_URL`,
`CONDA_CHANNEL_ALIAS` or `AWS_ENDPOINT_URL`. Files from a mirror are checked against the same hashes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from userdata.boot.machine.step_error import StepError
from userdata.contract.worker_environment import Device

_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")


def read_machine_settings(path: Path) -> dict[str, str]:
    """The settings by name; none when there is no file.

    Empty lines and lines that begin with `#` or `;` are passed over, and one pair of quotes around a value is taken
    off, as systemd does with the same file. Raises `StepError`, naming the line, for any other line, and for a value of
    SD_DEVICE that means nothing: the worker would end for it later, on a machine that is paid for.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    settings = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        match = _LINE.fullmatch(line.strip())
        if not match:
            raise StepError(f"{path}, line {number}, is not NAME=value: {line!r}. Correct it in the image.")
        value = match[2].strip()
        quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
        settings[match[1]] = value[1:-1] if quoted else value
    device = settings.get("SD_DEVICE")
    if device not in (None, "", *get_args(Device)):
        raise StepError(f"{path}: SD_DEVICE is {device!r}, but must be cpu or left out. Correct it in the image.")
    return settings
