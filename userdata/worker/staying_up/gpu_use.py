"""How busy the GPUs are at this moment."""

from __future__ import annotations

import logging
import subprocess

logger = logging.getLogger(__name__)

COMMAND = ("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")
ANSWER_SECONDS = 20
# A driver's own housekeeping shows less now and then.
BUSY_PERCENT = 5.0


def busiest_gpu() -> float:
    """The utilisation of the busiest GPU in percent, as nvidia-smi tells it; 0 where it tells none."""
    try:
        done = subprocess.run(
            COMMAND, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True
        )
        return max(map(float, done.stdout.split()), default=0.0)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        logger.debug("the GPU's utilisation is not known: %s", error)
        return 0.0
