"""Uses the time in which a worker that stays has nothing to draw: the next job like the last one is drawn faster."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from userdata.worker.drawing.drawing import Drawing
from userdata.worker.kernels.execution import is_transformer
from userdata.worker.kernels.kernel_check import fused_kernels_work

logger = logging.getLogger(__name__)


class Pause:
    """After a short run that did without fused kernels, because a new process would have waited for them.

    First a thread loads or compiles the kernels, which keeps no job that comes meanwhile from being drawn as before.
    Then the last batch is drawn with them, for nobody, until a job comes: that one waits for the step that is computed,
    or for a recording, once in a process and less than a second.
    """

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing
        self._pipeline = drawing.pipeline_to_rehearse
        self._thread: threading.Thread | None = None
        self.has_work = self._pipeline is not None

    def use(self, leave_if_asked: Callable[[], None]) -> None:
        """Does the next part. Raises what `leave_if_asked` raises."""
        pipeline = self._pipeline
        if not self.has_work or pipeline is None:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._load, name="kernels", daemon=True)
            self._thread.start()
        elif not self._thread.is_alive():
            self.has_work = False
            # A transformer is not recorded, so that nothing else can be prepared.
            if not is_transformer(pipeline) and fused_kernels_work(pipeline.device):
                self._drawing.rehearse(leave_if_asked)
                logger.info("A pause was used to prepare fused kernels for images like the last ones")

    def _load(self) -> None:
        if self._pipeline is not None:
            fused_kernels_work(self._pipeline.device, of_transformer=is_transformer(self._pipeline))
