"""What a checkpoint predicts, as far as it says so, and the scheduler's settings that follow.

The markers are the community's: empty tensors `v_pred` and `ztsnr` in a checkpoint, and in a header
`modelspec.prediction_type` (https://github.com/Stability-AI/ModelSpec) and the notes of kohya's trainer.
A folder of diffusers says it in its scheduler's configuration, which needs no marker.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

from userdata.job.choices import Prediction

logger = logging.getLogger(__name__)
_VELOCITY = ("v", "v_prediction", "velocity")
# The scheduler's settings, which prevail over those of its own configuration.
SETTINGS: Mapping[Prediction, Mapping[str, Any]] = {
    Prediction.epsilon: {"prediction_type": "epsilon", "rescale_betas_zero_snr": False},
    Prediction.v: {"prediction_type": "v_prediction", "rescale_betas_zero_snr": False},
    Prediction.v_ztsnr: {
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
    },
}
_IN_WORDS = {
    Prediction.epsilon: "the noise (epsilon)",
    Prediction.v: "the velocity (v)",
    Prediction.v_ztsnr: "the velocity (v), with zero terminal SNR",
}


def marked_prediction(names: Collection[str], metadata: Mapping[str, str]) -> Prediction:
    """What a checkpoint with tensors of these `names`, and this `metadata` of its header, predicts by its markers.

    `auto` stands for a checkpoint that says nothing. A tensor prevails over the header, which merges copy unread.
    """
    told = str(metadata.get("modelspec.prediction_type", "")).lower()
    velocity = "v_pred" in names or told in _VELOCITY or _is_true(metadata, "ss_v_parameterization")
    if not velocity:
        return Prediction.epsilon if told == "epsilon" else Prediction.auto
    zero_snr = "ztsnr" in names or _is_true(metadata, "ss_zero_terminal_snr")
    return Prediction.v_ztsnr if zero_snr else Prediction.v


def set_prediction(pipeline: Any, asked: Prediction, marked: Prediction) -> None:
    """Makes the scheduler of `pipeline` one for what is `asked` by the job, or else `marked` in the checkpoint."""
    chosen = marked if asked == Prediction.auto else asked
    if chosen == Prediction.auto:
        return
    # diffusers takes the class's default for what its own note in a configuration lists, whatever value stands there.
    config = {name: value for name, value in pipeline.scheduler.config.items() if name != "_use_default_values"}
    pipeline.scheduler = type(pipeline.scheduler).from_config({**config, **SETTINGS[chosen]})
    if asked != Prediction.auto or chosen != Prediction.epsilon:
        who = "the checkpoint says so" if asked == Prediction.auto else "as Prediction asks"
        logger.info("The model predicts %s: %s", _IN_WORDS[chosen], who)


def _is_true(metadata: Mapping[str, str], name: str) -> bool:
    return str(metadata.get(name, "")).lower() == "true"
