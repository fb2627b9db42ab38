"""Provides what a queued job is drawn with: what the boot has provided, or what the boot's own code fetches now."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from userdata.contract.bundle import BUNDLE
from userdata.contract.environment_file import parse_environment
from userdata.contract.log_lines import log_output
from userdata.contract.worker_environment import FAILED_FOR_NOW, ModelEnvironment
from userdata.job.choices import Engine
from userdata.job.job import Job
from userdata.job.run_error import PassingRunError, RunError, Stopped
from userdata.worker.process.settings import Settings

logger = logging.getLogger(__name__)
COMMAND = "userdata.boot.provide"
LOOK_SECONDS = 0.2
LAST_LINES = 5
# What of a job says nothing about files. A field that is forgotten here costs a look at the files, no more.
NOT_FILES = {
    *("prompt", "negative_prompt", "H", "W", "ddim_steps", "scale", "sampler", "seed", "fixed_code", "ddim_eta"),
    *(
        "n_iter",
        "n_samples",
        "n_rows",
        "skip_grid",
        "precision",
        "quantize",
        "init_img",
        "init_mask",
        "strength",
        "upscale",
    ),
    *("from_file", "watermark", "run_id"),
}
# Where a file may have been replaced under its name.
IN_S3 = ("s3://", "inputs/")


class Provider:
    """Provides files on the machine of `settings`, which the boot made ready for the deployed `parameters`.

    The boot's own code fetches, in a process of its own: worker and boot do not know each other, and what is fetched is
    checked as at a boot. That process has the worker's user, and writes to the worker's folder alone.
    """

    def __init__(self, settings: Settings, parameters: Mapping[str, str], stop: threading.Event) -> None:
        self._settings = settings
        self._parameters = parameters
        self._stop = stop
        self._known: dict[str, ModelEnvironment] = {}
        self._fetched_for: tuple[str | None, str] | None = None
        names = {str(field.alias) for field in Job.model_fields.values()}
        try:
            deployed = Job.model_validate({name: value for name, value in parameters.items() if name in names})
        except ValueError:
            return  # the deployed run has told so
        self._known[_files_of(deployed)] = settings

    def provide(self, job: Job, fetches: Callable[[], None] = lambda: None, *, batch: str | None = None) -> Settings:
        """The settings to draw `job` with. `fetches` hears when something is fetched, or looked for.

        The units of one `batch` that follow each other have the same files: what one has fetched, the next one takes.

        Raises `RunError` with the one sentence that says why the files cannot be had, `PassingRunError` where
        another attempt may get them or the fetching program broke off, and `Stopped`.
        """
        if job.engine == Engine.compvis and self._settings.compvis_python is None:
            raise RunError(
                "Engine is compvis, but the original scripts' environment is not on this machine. Deploy a run with "
                "Engine=compvis first, or leave Engine out."
            )
        files = _files_of(job)
        same = batch is not None and self._fetched_for == (batch, files)
        if not self._are_there(files) or (any(mark in files for mark in IN_S3) and not same):
            fetches()
            self._known[files] = self._fetch(job)
            self._fetched_for = (batch, files)
        found = self._known[files]
        changed = {one.name: getattr(found, one.name) for one in fields(ModelEnvironment)}
        kept = {name: getattr(self._settings, name) for name in ("compiled", "compvis_repository", "compvis_python")}
        return dataclasses.replace(self._settings, **{**changed, **kept})

    def _are_there(self, files: str) -> bool:
        """Whether these were provided, and have made no room for others since."""
        known = self._known.get(files)
        return known is not None and all(place.exists() for place in _places(known))

    def _fetch(self, job: Job) -> ModelEnvironment:
        given = {**self._parameters, **{n: str(v) for n, v in job.model_dump(mode="json", by_alias=True).items()}}
        process = subprocess.Popen(
            [sys.executable, "-m", COMMAND, str(self._settings.state_directory / "models")],
            cwd=BUNDLE.root.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin and process.stdout and process.stderr
        said: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
        reader = threading.Thread(target=log_output, args=(process.stderr, said), name="provide", daemon=True)
        reader.start()
        with process:
            with contextlib.suppress(BrokenPipeError):  # it has ended already, and says why
                process.stdin.write(json.dumps(given).encode())
                process.stdin.close()
            while process.poll() is None:
                if self._stop.wait(LOOK_SECONDS):
                    os.killpg(process.pid, signal.SIGKILL)
                    raise Stopped
            answer = process.stdout.read().decode()
            reader.join()  # before the end of `with`, which closes what it still reads
        if process.returncode and self._stop.is_set():
            raise Stopped  # whoever stops the worker signals that process too, and its end may be seen here first
        if process.returncode:
            if reason := answer.strip():
                kind = PassingRunError if process.returncode == FAILED_FOR_NOW else RunError
                raise kind(f"What the run is drawn with cannot be had. {reason}")
            last = said[-1] if said else f"it ended with {process.returncode}"
            raise PassingRunError(
                f"The program that fetches what the run is drawn with broke off ({last}). If that happens again, "
                "choose an InstanceType with more memory."
            )
        return ModelEnvironment.read(parse_environment(answer))


def _places(environment: ModelEnvironment) -> Iterator[Path]:
    for one in fields(ModelEnvironment):
        value = getattr(environment, one.name)
        yield from value if isinstance(value, tuple) else (value,) if isinstance(value, Path) else ()


def _files_of(job: Job) -> str:
    """What of `job` says which files it is drawn with."""
    return json.dumps(job.model_dump(mode="json", exclude=NOT_FILES), sort_keys=True)
