"""Says when somebody's own checkpoint is drawn far below the size that its layout was trained for."""

from __future__ import annotations

import logging
from pathlib import Path

from userdata.contract.catalogue import Model, usual_model
from userdata.job.job import Job
from userdata.worker.model.checkpoint import checkpoint_in, layout_of, shapes_of

# In pixels, as a share of the native square. Half of them still make pictures, and the default size of Stable Diffusion
# v1, which every own checkpoint has before its file is there, is a third of XL's.
FAR_BELOW = 0.5

logger = logging.getLogger(__name__)


def warn_of_small_size(model: Model, folder: Path, job: Job) -> None:
    """Warns in the log when `job` asks the own checkpoint in `folder` for less than half the pixels it is made for.

    Raises `RunError` when the file is no checkpoint.
    """
    if not model.is_own or (folder / "model_index.json").exists():
        return
    checkpoint = checkpoint_in(folder)
    usual = usual_model(layout_of(checkpoint, shapes_of(checkpoint)))
    native = usual.native_size
    if FAR_BELOW * native**2 > job.H * job.W:
        logger.warning(
            "%s has the layout of %s, which is made for %d × %d: at %d × %d its images may be crude or cut off; deploy "
            "again with Height=%d and Width=%d",
            *(model.title, usual.title, native, native, job.W, job.H, native, native),
        )
