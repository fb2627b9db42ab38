"""Warns when a person's own checkpoint draws images far smaller than those that its layout was trained for."""

from __future__ import annotations

import logging
from pathlib import Path

from userdata.contract.catalogue import Model, usual_model
from userdata.job.job import Job
from userdata.worker.model.checkpoint import checkpoint_in, layout_of, shapes_of

# A share of the pixels of the native square. Half of the pixels still make good pictures. The default size is that of
# Stable Diffusion v1, a third of XL's, because a job's defaults are chosen before the checkpoint is looked into.
FAR_BELOW = 0.5

logger = logging.getLogger(__name__)


def warn_of_small_size(model: Model, folder: Path, job: Job) -> None:
    """Warns in the log when `job` asks a person's own checkpoint in `folder` for less than half its native pixels.

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
