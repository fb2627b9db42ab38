"""What is loaded in this process: one model at a time, with what was last drawn beside it. Outlives a run."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from userdata.contract.catalogue import find_model
from userdata.contract.worker_environment import ModelEnvironment
from userdata.job.choices import Engine
from userdata.job.job import Job
from userdata.job.run_error import BetweenBatches
from userdata.worker.between.task import Task
from userdata.worker.loaded.file_stamp import stamp
from userdata.worker.loaded.model_ahead import ModelAhead
from userdata.worker.process.garbage_collection import collect_all, collector_at_rest
from userdata.worker.process.settings import Settings

if TYPE_CHECKING:
    from userdata.worker.loaded.loaded_model import LoadedModel
    from userdata.worker.loaded.pause import Pause

logger = logging.getLogger(__name__)
# Whatever else the boot hands over is taken for a part of the model. What is forgotten here costs a load, and what were
# forgotten in a list of the model's parts would draw with the wrong one.
NOT_THE_MODEL = {"lora_files", "safety_checker", "compiled", "compvis_repository", "compvis_python"}


class Loaded:
    """Draws one run after the other, and keeps what the next one may use.

    Each is drawn as a new process would, bit for bit, if that drew in the same way. But a new process would have to
    load the fused kernels, which this one has after a while: an image's record says how it was drawn (`drawn_with`).

    A model is freed before another one is loaded, so that the memory never has to hold two. After a run that failed or
    was stopped in the middle of a batch everything is freed, because what such a run leaves behind is not trusted.
    Without `stays` there is no next run, and nothing is prepared for it.
    """

    def __init__(self, *, stays: bool = False) -> None:
        self._stays = stays
        self._model: LoadedModel | None = None
        self._model_is: object = None
        self._collects = False
        self._pause: Pause | None = None
        self._pauses_are_used = stays

    def draw(self, settings: Settings, task: Task) -> None:
        """Draws all images of `task`. Raises `RunError` with a sentence for a person, and what the task's hooks raise.

        `settings` say where the model and the other files of the task lie.
        """
        self._pause = None
        with self._freed_unless_trusted():
            if task.job.engine == Engine.compvis:
                self.release()  # the original scripts load the model themselves, in a process of their own
                ahead = None
            else:
                ahead = self._begin_to_load(settings, task)
            with collector_at_rest() if self._model is None else nullcontext():
                # Imported here, because it takes seconds: a run that is done, or refused, does without. Nothing else is
                # imported before it, because a thread that imports it ahead (`imports_ahead`) may still be at it: of
                # two threads that enter diffusers by different ways, one may find it half made.
                from userdata.worker.loaded import make_drawing

                if ahead:
                    self._model = make_drawing.load_model(settings, task.job, ahead, stays=self._stays)
                    self._model_is = _identity(settings, task.job)
                drawing = make_drawing.make_drawing(settings, task, self._model)
            task.ready()
            drawing.do()
        if self._pauses_are_used:
            from userdata.worker.drawing.drawing import Drawing
            from userdata.worker.loaded.pause import Pause

            if isinstance(drawing, Drawing):
                self._pause = Pause(drawing)

    @property
    def has_use_for_a_pause(self) -> bool:
        """Whether `use_pause` would do anything."""
        return self._pause is not None and self._pause.has_work

    def use_pause(self, leave_if_asked: Callable[[], None]) -> None:
        """Prepares the next run while none is there, until `leave_if_asked` raises `BetweenBatches`."""
        if self._pause:
            try:
                with self._freed_unless_trusted():
                    self._pause.use(leave_if_asked)
            except BetweenBatches:
                logger.info("A pause ended before fused kernels were prepared")
            except Exception as error:  # noqa: BLE001  # whatever it is, the next jobs are drawn without
                self._pauses_are_used = False
                logger.warning("Nothing could be prepared for the next job (%s: %s)", type(error).__name__, error)

    def release(self) -> None:
        """Frees everything that is or was loaded."""
        self._let_go()
        if self._collects:
            collect_all()
            import torch

            torch.cuda.empty_cache()
            self._collects = False

    def still_works(self) -> bool:
        """Whether this process can still use its GPU: an error in one of CUDA's kernels ends that for good."""
        try:
            self.release()
            if "torch" in sys.modules:
                import torch

                if torch.cuda.is_available():
                    torch.cuda.synchronize()
        except RuntimeError as error:
            logger.error("The GPU can no longer be used by this process: %s", error)
            return False
        return True

    def _let_go(self) -> None:
        self._pause = None
        # Where an error is on its way nothing is free yet, because its traceback refers to all that it passed through.
        if self._model:
            self._model.close()
            self._model = self._model_is = None
            self._collects = True

    def _begin_to_load(self, settings: Settings, task: Task) -> ModelAhead | None:
        """Begins to load the model of `task`, unless it is loaded."""
        if self._model and self._model_is == _identity(settings, task.job) and self._model.takes_other_loras():
            return None
        self.release()
        return ModelAhead(settings, task.job, task.missing, beside=task.beside)

    @contextmanager
    def _freed_unless_trusted(self) -> Iterator[None]:
        try:
            yield
        except BetweenBatches:
            raise
        except BaseException:
            self._let_go()
            raise


def _identity(settings: Settings, job: Job) -> object:
    """What is equal for two jobs that draw with the same model, loaded in the same way."""
    parts = [(one.name, getattr(settings, one.name)) for one in fields(ModelEnvironment)]
    return (
        str(job.model),
        str(job.precision),
        # What decides in which type the weights are kept, where they can be kept in another one.
        (str(job.quantize), bool(job.lora)) if find_model(job.model).quantized_gib else None,
        str(job.prediction),
        job.vae,
        job.embeddings,
        settings.device,
        [(name, _stamp(value)) for name, value in parts if name not in NOT_THE_MODEL],
    )


def _stamp(value: Any) -> object:
    """A value, where it is a place with what its files are like."""
    if isinstance(value, tuple):
        return [_stamp(one) for one in value]
    return stamp(value) if isinstance(value, Path) else value
